"""V2's JSON form: what is right comes through exactly, what is wrong is a 400 that names the input."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.datatypes import BY_ONNX, TYPES, DataType
from models.errors import InputError, SlipwayError
from service.errors import BadJson, BadRequest
from service.protocol.v2 import V2Codec
from service.protocol.values import BINARY_ONLY
from tests.service.manifests import manifest_of
from tests.service.protocol.exchange import codec

JSON_TYPES = [info for info in TYPES if info.onnx not in BINARY_ONLY]


def body(**changes: Any) -> bytes:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    return json.dumps({"inputs": [tensor | changes]}).encode()  # also writes beyond 64 bits


EXAMPLES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "BYTES": ["", "grüße\n"],
    "FP16": [0.5, -3],
    "FP32": [0.5, -3],
    "FP64": [1e300, 2],
}


@pytest.mark.parametrize("info", JSON_TYPES, ids=lambda info: info.v2)
def test_every_datatype_goes_there_and_back(info: Any) -> None:
    limits = np.iinfo(info.numpy) if info.numpy.kind in "iu" else None
    values = EXAMPLES.get(info.v2) or [int(limits.min), int(limits.max)]
    it = codec(info.onnx)
    request = it.decode(body(datatype=info.v2, data=values))
    assert request.inputs["x"].dtype == info.numpy
    assert request.inputs["x"].tolist() == [values]
    answer = orjson.loads(it.encode({"y": request.inputs["x"]}, request).body)
    assert answer == {
        "model_name": "m",
        "model_version": "1",
        "outputs": [{"name": "y", "shape": [1, 2], "datatype": info.v2, "data": values}],
    }


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=4),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    )
)
def test_flat_and_nested_data_are_the_same_array_bit_for_bit(array: np.ndarray) -> None:
    it = codec(shape=("batch", "height", "width"))
    for data in (array.tolist(), array.ravel().tolist()):
        request = it.decode(body(shape=list(array.shape), data=data))
        assert request.inputs["x"].tobytes() == array.tobytes()
        assert request.rows == array.shape[0]


def test_the_id_is_echoed_and_only_wanted_outputs_are_sent() -> None:
    outputs = [("y", DataType.FLOAT, ("batch", 2)), ("z", DataType.FLOAT, ("batch", 2))]
    it = V2Codec(manifest_of([("x", DataType.FLOAT, ("batch", 2))], outputs))
    document = orjson.loads(body()) | {"id": "a-1", "outputs": [{"name": "z"}]}
    request = it.decode(orjson.dumps(document))
    both = {"y": np.zeros((1, 2), np.float32), "z": np.ones((1, 2), np.float32)}
    answer = orjson.loads(it.encode(both, request).body)
    assert answer["id"] == "a-1"
    assert [output["name"] for output in answer["outputs"]] == ["z"]


def test_a_non_contiguous_output_is_written_in_row_major_order() -> None:
    it = codec()
    request = it.decode(body())
    turned = np.array([[1.0, 3.0], [2.0, 4.0]], np.float32).T
    assert orjson.loads(it.encode({"y": turned}, request).body)["outputs"][0]["data"] == [
        1,
        2,
        3,
        4,
    ]


BAD_TENSORS: list[tuple[str, dict[str, Any]]] = [
    ("unknown name", {"name": "w"}),
    ("no name", {"name": None}),
    ("other datatype", {"datatype": "INT64"}),
    ("unknown datatype", {"datatype": "FLOAT"}),
    ("no datatype", {"datatype": None}),
    ("no shape", {"shape": None}),
    ("wrong rank", {"shape": [2]}),
    ("empty batch", {"shape": [0, 2], "data": []}),
    ("negative size", {"shape": [-1, 2]}),
    ("two negative sizes", {"shape": [-1, -2]}),
    ("overflowing size", {"shape": [2**62, 2]}),
    ("beyond 64 bits", {"shape": [2**64, 2]}),
    ("float size", {"shape": [1.0, 2]}),
    ("boolean size", {"shape": [True, 2]}),
    ("axis of another size", {"shape": [1, 3], "data": [1, 2, 3]}),
    ("huge rank", {"shape": [1] * 10_000}),
    ("no data", {"data": None}),
    ("text as data", {"data": "12"}),
    ("one value too few", {"data": [1]}),
    ("one value too many", {"data": [1, 2, 3]}),
    ("ragged", {"shape": [2, 2], "data": [[1, 2], [3]]}),
    ("nested too deep", {"data": [[[1, 2]]]}),
    ("nested too little", {"shape": [2, 2], "data": [[1, 2], 3]}),
    ("a string among numbers", {"data": [1, "2"]}),
    ("null among numbers", {"data": [1, None]}),
    ("a boolean among numbers", {"data": [1, True]}),
    ("too large for float32", {"data": [1, 1e39]}),
    ("an object", {"data": [1, {}]}),
]


@pytest.mark.parametrize("change", [c for _, c in BAD_TENSORS], ids=[n for n, _ in BAD_TENSORS])
def test_a_wrong_tensor_is_a_400_that_names_it(change: dict[str, Any]) -> None:
    with pytest.raises(SlipwayError) as refusal:
        codec().decode(body(**change))
    assert refusal.value.status == 400
    assert "input" in refusal.value.message
    assert len(refusal.value.message) < 300


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("INT8", 128),
        ("INT8", 1.5),
        ("UINT8", -1),
        ("UINT64", 2**64),
        ("INT64", True),
        ("BOOL", 1),
        ("BOOL", "true"),
        ("BYTES", 1),
        ("BYTES", None),
    ],
)
def test_a_value_outside_its_datatype_is_refused_not_cast(datatype: str, value: object) -> None:
    onnx = next(info.onnx for info in TYPES if info.v2 == datatype)
    with pytest.raises((InputError, BadJson)):
        codec(onnx).decode(body(datatype=datatype, data=[value, value]))


@pytest.mark.parametrize("dtype", sorted(BINARY_ONLY))
def test_bfloat16_is_refused_in_json_in_both_directions(dtype: DataType) -> None:
    with pytest.raises(InputError, match="binary"):
        codec(dtype).decode(body(datatype=BY_ONNX[dtype.value].v2))
    shape = ("batch", 2)
    it = V2Codec(manifest_of([("x", DataType.FLOAT, shape)], [("y", dtype, shape)]))
    with pytest.raises(BadRequest, match="binary"):
        it.decode(body())


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"inputs": NaN}', b"[" * 200_000, b"{}"],
    ids=["empty", "cut", "list", "null", "text", "not utf-8", "nan", "deep", "no inputs"],
)
def test_a_body_that_is_no_request_is_a_400(data: bytes) -> None:
    with pytest.raises((BadJson, BadRequest)):
        codec().decode(data)


def test_inputs_must_be_complete_unrepeated_and_agree_on_named_axes() -> None:
    shape = ("batch", "sequence")
    it = V2Codec(manifest_of([("ids", DataType.FLOAT, shape), ("mask", DataType.FLOAT, shape)]))

    def request(*tensors: tuple[str, list[int]]) -> bytes:
        made = [
            {"name": name, "shape": s, "datatype": "FP32", "data": [1] * (s[0] * s[1])}
            for name, s in tensors
        ]
        return orjson.dumps({"inputs": made})

    it.decode(request(("ids", [1, 3]), ("mask", [1, 3])))
    with pytest.raises(InputError, match="'mask' is missing"):
        it.decode(request(("ids", [1, 3])))
    with pytest.raises(InputError, match="twice"):
        it.decode(request(("ids", [1, 3]), ("ids", [1, 3])))
    with pytest.raises(InputError, match="sequence"):
        it.decode(request(("ids", [1, 3]), ("mask", [1, 4])))


def test_non_finite_answers_become_null() -> None:
    it = codec()
    answer = it.encode({"y": np.array([[np.nan, np.inf]], np.float32)}, it.decode(body()))
    assert orjson.loads(answer.body)["outputs"][0]["data"] == [None, None]


@pytest.mark.parametrize(
    "info", [i for i in JSON_TYPES if i.numpy.kind in "iu"], ids=lambda i: i.v2
)
@given(data=st.data())
def test_every_integer_of_a_type_goes_there_and_back_and_no_other(
    info: Any, data: st.DataObject
) -> None:
    limits = np.iinfo(info.numpy)
    values = data.draw(st.lists(st.integers(int(limits.min), int(limits.max)), min_size=1))
    it = codec(info.onnx, ("batch",))
    request = it.decode(body(shape=[len(values)], datatype=info.v2, data=values))
    assert request.inputs["x"].tolist() == values
    answer = orjson.loads(it.encode({"y": request.inputs["x"]}, request).body)
    assert answer["outputs"][0]["data"] == values
    outside = data.draw(st.sampled_from([int(limits.min) - 1, int(limits.max) + 1]))
    with pytest.raises((InputError, BadJson)):
        it.decode(body(shape=[1], datatype=info.v2, data=[outside]))


@pytest.mark.parametrize("info", [i for i in JSON_TYPES if i.numpy.kind == "f"], ids=lambda i: i.v2)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_rounded_as_numpy_does_or_refused_when_it_does_not_fit(
    info: Any, value: float
) -> None:
    with np.errstate(over="ignore"):
        rounded = np.array(value).astype(info.numpy)
    it = codec(info.onnx, ("batch",))
    asked = body(shape=[1], datatype=info.v2, data=[value])
    if np.isfinite(rounded):
        assert it.decode(asked).inputs["x"].tobytes() == rounded.tobytes()
    else:
        with pytest.raises(InputError):
            it.decode(asked)


@given(st.lists(st.text(), min_size=1, max_size=6))
def test_any_text_goes_there_and_back(texts: list[str]) -> None:
    it = codec(DataType.STRING, ("batch",))
    request = it.decode(body(shape=[len(texts)], datatype="BYTES", data=texts))
    assert request.inputs["x"].tolist() == texts
    answer = orjson.loads(it.encode({"y": request.inputs["x"]}, request).body)
    assert answer["outputs"][0]["data"] == texts


def test_a_recorded_request_with_any_byte_changed_is_answered_or_refused() -> None:
    document = orjson.loads(body()) | {"id": "7", "outputs": [{"name": "y"}]}
    recorded = orjson.dumps(document | {"parameters": {"timeout": 5, "priority": 1}})
    it, statuses = codec(), set()
    for place in range(len(recorded)):
        for middle in (bytes([recorded[place] ^ 1]), b"\xff", b"", b'"', b"[", b"9", b":"):
            try:
                request = it.decode(recorded[:place] + middle + recorded[place + 1 :])
                it.encode({"y": request.inputs["x"]}, request)
                statuses.add(200)
            except SlipwayError as error:
                statuses.add(error.status)
    assert statuses == {200, 400}
