"""The binary tensor extension: exact both ways; no byte of a wrong request is read beyond its end."""

import struct

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.datatypes import TYPES, DataType, TypeInfo
from models.errors import InputError, SlipwayError
from service.errors import BadJson, BadRequest
from service.protocol.v2 import V2Codec, WantedOutput
from tests.service.manifests import manifest_of
from tests.service.protocol.exchange import (
    answered,
    asked,
    binary_input,
    codec,
    message,
    packed,
    unbatched,
)

NUMBERS = [info for info in TYPES if info.onnx is not DataType.STRING]
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=5)
BINARY = {"parameters": {"binary_data_output": True}}


def any_values(info: TypeInfo) -> st.SearchStrategy[np.ndarray]:
    """Every bit pattern, NaN payloads included."""
    size = info.numpy.itemsize
    if info.onnx is DataType.BOOL:
        return arrays.arrays(np.bool_, SHAPES)
    return SHAPES.flatmap(
        lambda shape: st.binary(
            min_size=size * shape[0] * shape[1], max_size=size * shape[0] * shape[1]
        ).map(lambda data: np.frombuffer(data, info.numpy).reshape(shape))
    )


@pytest.mark.parametrize("info", NUMBERS, ids=lambda info: info.v2)
@given(data=st.data())
def test_every_bit_of_every_type_goes_there_and_back(info: TypeInfo, data: st.DataObject) -> None:
    array = data.draw(any_values(info))
    it = codec(info.onnx, ("batch", "width"))
    request = it.decode(*asked(array, info.onnx, **BINARY))
    assert request.inputs["x"].dtype == info.numpy
    assert request.inputs["x"].shape == array.shape
    assert request.inputs["x"].tobytes() == array.tobytes()
    assert request.rows == array.shape[0]
    document, tails = answered(it.encode({"y": request.inputs["x"]}, request))
    assert tails["y"] == array.tobytes()
    assert document["outputs"] == [
        {
            "name": "y",
            "shape": list(array.shape),
            "datatype": info.v2,
            "parameters": {"binary_data_size": array.nbytes},
        }
    ]


@given(st.lists(st.text(), min_size=1, max_size=8))
def test_any_text_goes_there_and_back_as_bytes(texts: list[str]) -> None:
    array = np.array([texts], object)
    it = codec(DataType.STRING, ("batch", "words"))
    request = it.decode(*asked(array, DataType.STRING, **BINARY))
    assert request.inputs["x"].tolist() == [texts]
    assert answered(it.encode({"y": request.inputs["x"]}, request))[1]["y"] == packed(array)


def test_numbers_are_a_view_into_the_body() -> None:
    body, header_bytes = asked(np.ones((3, 2), np.float32), DataType.FLOAT)
    array = codec().decode(body, header_bytes).inputs["x"]
    assert np.shares_memory(array, np.frombuffer(body, np.uint8))
    assert not array.flags.writeable


def test_inputs_in_json_and_in_binary_form_mix_in_any_order() -> None:
    shape = ("batch", 2)
    kinds = {"a": DataType.FLOAT, "b": DataType.INT64, "c": DataType.STRING}
    it = V2Codec(manifest_of([(n, kind, shape) for n, kind in kinds.items()]))
    numbers = np.array([[7, -8]], np.int64)
    words = np.array([["x", "yz"]], object)
    inputs = [
        binary_input("c", words, "BYTES"),
        {"name": "a", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1]},
        binary_input("b", numbers, "INT64"),
    ]
    request = it.decode(*message(inputs, words, numbers))
    assert {name: array.tolist() for name, array in request.inputs.items()} == {
        "a": [[0.5, 1.0]],
        "b": [[7, -8]],
        "c": [["x", "yz"]],
    }


def test_each_output_says_for_itself_how_it_comes() -> None:
    shape = ("batch", 2)
    outputs = [(name, DataType.FLOAT, shape) for name in ("p", "q", "r")]
    it = V2Codec(manifest_of([("x", DataType.FLOAT, shape)], outputs))
    wanted = [
        {"name": "r"},
        {"name": "p", "parameters": {"binary_data": False}},
        {"name": "q", "parameters": {"binary_data": True}},
    ]
    array = np.ones((1, 2), np.float32)
    request = it.decode(*asked(array, DataType.FLOAT, outputs=wanted, **BINARY))
    assert request.outputs == (
        WantedOutput("r", is_binary=True),
        WantedOutput("p"),
        WantedOutput("q", is_binary=True),
    )
    document, tails = answered(it.encode({n: array * i for i, n in enumerate("pqr")}, request))
    assert [output["name"] for output in document["outputs"]] == ["r", "p", "q"]
    assert document["outputs"][1]["data"] == [0, 0]
    assert np.frombuffer(tails["r"], np.float32).tolist() == [2, 2]
    assert np.frombuffer(tails["q"], np.float32).tolist() == [1, 1]


def test_an_output_that_is_not_contiguous_is_sent_row_by_row() -> None:
    it = codec()
    request = it.decode(*asked(np.ones((2, 2), np.float32), DataType.FLOAT, **BINARY))
    turned = np.array([[1, 3], [2, 4]], np.float32).T
    tail = answered(it.encode({"y": turned}, request))[1]["y"]
    assert np.frombuffer(tail, np.float32).tolist() == [1, 2, 3, 4]


def test_bfloat16_comes_and_goes_as_its_words() -> None:
    it = codec(DataType.BFLOAT16)
    words = np.array([[0x3F80, 0xFFFF]], np.uint16)
    request = it.decode(*asked(words, DataType.BFLOAT16, **BINARY))
    document, tails = answered(it.encode({"y": request.inputs["x"]}, request))
    assert document["outputs"][0]["datatype"] == "BF16"
    assert tails["y"] == words.tobytes()
    with pytest.raises(BadRequest, match="binary_data"):
        it.decode(*asked(words, DataType.BFLOAT16))


ONES = np.ones((1, 2), np.float32)


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({"parameters": {"binary_data_size": 7}}, b""),
        ({"parameters": {"binary_data_size": 9}}, b""),
        ({"parameters": {"binary_data_size": 9}}, b"\0"),
        ({"parameters": {"binary_data_size": 0}}, b""),
        ({"parameters": {"binary_data_size": -8}}, b""),
        ({"parameters": {"binary_data_size": 2**62}}, b""),
        ({"parameters": {"binary_data_size": 2**70}}, b""),
        ({"parameters": {"binary_data_size": 8.0}}, b""),
        ({"parameters": {"binary_data_size": "8"}}, b""),
        ({"parameters": {"binary_data_size": True}}, b""),
        ({"parameters": {"binary_data_size": {}}}, b""),
        ({"parameters": []}, b""),
        ({"parameters": {}}, b""),
        ({"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 8}}, b""),
        ({"data": [1, 1]}, b""),
        ({"shape": [2, 2]}, b""),
        ({"shape": [2**39, 2]}, b""),
        ({"shape": [1, 3]}, b""),
        ({}, b"\0"),
    ],
    ids=str,
)
def test_sizes_that_do_not_add_up_are_a_400(changes: dict[str, object], extra: bytes) -> None:
    tensor = binary_input("x", ONES, "FP32", **changes)
    body, header_bytes = message([tensor], ONES)
    with pytest.raises((InputError, BadRequest)) as refusal:
        codec().decode(body + extra, header_bytes)
    assert refusal.value.status == 400


def test_the_last_input_cannot_read_what_the_first_has_had() -> None:
    shape = ("batch", 2)
    it = V2Codec(manifest_of([(name, DataType.FLOAT, shape) for name in "ab"]))
    inputs = [binary_input(name, ONES, "FP32") for name in "ab"]
    it.decode(*message(inputs, ONES, ONES))
    with pytest.raises(BadRequest, match="0 bytes are left"):
        it.decode(*message(inputs, ONES))


@pytest.mark.parametrize(
    "tail",
    [
        struct.pack("<I", 1),
        struct.pack("<I", 0),
        struct.pack("<I", 2**32 - 1) + b"a" * 4,
        struct.pack("<I", 1) + b"a" + struct.pack("<I", 5) + b"bcd",
        struct.pack("<I", 1) + b"a" + b"\0\0",
        struct.pack("<I", 0) * 3,
        struct.pack("<I", 2) + b"\xff\xfe" + struct.pack("<I", 0),
        b"",
    ],
    ids=[
        "cut",
        "one of two",
        "length beyond",
        "last beyond",
        "cut length",
        "three",
        "utf8",
        "none",
    ],
)
def test_a_string_never_reaches_beyond_its_tensor(tail: bytes) -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "BYTES"}
    tensor["parameters"] = {"binary_data_size": len(tail)}
    header = orjson.dumps({"inputs": [tensor]})
    with pytest.raises(InputError, match="'x'"):
        codec(DataType.STRING).decode(header + tail, len(header))


def test_a_bool_is_zero_or_one() -> None:
    body, header_bytes = asked(np.array([[True, False]]), DataType.BOOL)
    with pytest.raises(InputError, match="0 or 1"):
        codec(DataType.BOOL).decode(body[:-1] + b"\2", header_bytes)


@pytest.mark.parametrize("header_bytes", [1, -1, 99_999_999_999])
def test_a_header_length_that_is_not_the_headers_is_a_400(header_bytes: int) -> None:
    body, _ = asked(ONES, DataType.FLOAT)
    with pytest.raises((BadJson, BadRequest)):
        codec().decode(body, header_bytes)


@pytest.mark.parametrize("dtype", [DataType.FLOAT, DataType.STRING, DataType.BOOL])
def test_a_recorded_request_with_any_byte_changed_is_answered_or_refused(dtype: DataType) -> None:
    """Also cut after each byte, and with each header length: never an error of ours."""
    array = {
        DataType.FLOAT: np.array([[1, -2.5]], np.float32),
        DataType.STRING: np.array([["ab", "ç"]], object),
        DataType.BOOL: np.array([[True, False]]),
    }[dtype]
    it = codec(dtype)
    body, header_bytes = asked(array, dtype, id="7", outputs=[{"name": "y"}], **BINARY)
    outcomes = set()
    for place in range(len(body)):
        for wrong in (
            body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :],
            body[:place] + bytes([body[place] ^ 0x80]) + body[place + 1 :],
            body[:place] + b"\xff" + body[place + 1 :],
            body[:place],
            body[:place] + body[place + 1 :],
        ):
            outcomes.add(outcome(it, wrong, header_bytes))
        outcomes.add(outcome(it, body, place))
    assert outcomes == {200, 400}


def outcome(it: V2Codec, body: bytes, header_bytes: int) -> int:
    try:
        request = it.decode(body, header_bytes)
        it.encode({"y": request.inputs["x"]}, request)
    except SlipwayError as error:
        return error.status
    return 200


# -- raw bodies -----------------------------------------------------------------------------------


def test_a_raw_body_is_the_only_input_of_one_item_and_all_outputs_are_binary() -> None:
    shape = ("batch", 3)
    outputs = [(name, DataType.FLOAT, shape) for name in ("p", "q")]
    it = V2Codec(manifest_of([("x", DataType.FLOAT, shape)], outputs))
    array = np.array([[1, 2, 3]], np.float32)
    request = it.decode(array.tobytes(), 0)
    assert request.inputs["x"].tolist() == array.tolist()
    assert request.rows == 1
    _, tails = answered(it.encode({"p": array, "q": array}, request))
    assert tails == {"p": array.tobytes(), "q": array.tobytes()}


def test_one_free_axis_of_a_raw_body_follows_from_its_size() -> None:
    for count in (1, 5):
        data = np.arange(2 * count, dtype=np.int16).tobytes()
        request = codec(DataType.INT16, ("batch", "time", 2)).decode(data, 0)
        assert request.inputs["x"].shape == (1, count, 2)
        free = unbatched(DataType.INT16, ("time",)).decode(data, 0)
        assert free.inputs["x"].shape == (2 * count,)


def test_a_raw_string_is_the_whole_body_without_a_length() -> None:
    for it, shape in (
        (codec(DataType.STRING, ("batch", 1)), (1, 1)),
        (codec(DataType.STRING, ("batch",)), (1,)),
        (unbatched(DataType.STRING, (1,)), (1,)),
    ):
        array = it.decode("grüße".encode(), 0).inputs["x"]
        assert array.shape == shape
        assert array.ravel().tolist() == ["grüße"]
    assert codec(DataType.STRING, ("batch", 1)).decode(b"", 0).inputs["x"].tolist() == [[""]]


def test_a_raw_body_that_leaves_something_open_is_a_400() -> None:
    two = V2Codec(manifest_of([("a", DataType.FLOAT, ("b",)), ("c", DataType.FLOAT, ("b",))]))
    for it, body, why in (
        (two, b"1234", "takes 2"),
        (codec(DataType.FLOAT, ("batch", "h", "w")), b"1234", "2 of its axes vary"),
        (codec(DataType.STRING, ("batch", 2)), b"1234", "another shape"),
        (codec(DataType.STRING, ("batch", 1)), b"\xff", "not UTF-8"),
        (codec(DataType.FLOAT, ("batch", 2)), b"1234", "not 8"),
        (codec(DataType.FLOAT, ("batch", 2)), b"1234" * 4, "not 8"),
        (codec(DataType.FLOAT, ("batch", "w")), b"", "multiple of 4"),
        (codec(DataType.FLOAT, ("batch", "w")), b"12345", "multiple of 4"),
        (codec(DataType.BOOL, ("batch", 2)), b"\0\2", "0 or 1"),
    ):
        with pytest.raises((InputError, BadRequest), match=why):
            it.decode(body, 0)
