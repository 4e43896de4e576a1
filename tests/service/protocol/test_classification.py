"""Classification: the highest values in words, best first, never a tie decided by chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import DataType
from models.manifest import TensorSpec
from service.errors import BadRequest
from service.protocol.classification import classify
from service.protocol.v2 import V2Codec
from tests.service.manifests import manifest_of
from tests.service.protocol.exchange import answered, asked, codec

LABELS = ["ant", "bee", "cat", "dog"]


def spec(dtype: DataType = DataType.FLOAT, batch_axis: int | None = 0) -> TensorSpec:
    return TensorSpec(name="y", dtype=dtype, shape=("batch", "classes"), batch_axis=batch_axis)


def test_values_come_best_first_with_index_and_label() -> None:
    rows = np.array([[1.5, 10, 5, 4], [0.25, -1, -2, 0.5]], np.float32)
    assert classify(rows, spec(), 2, LABELS).tolist() == [
        ["10.0:1:bee", "5.0:2:cat"],
        ["0.5:3:dog", "0.25:0:ant"],
    ]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_value_has_its_own_types_digits(dtype: type) -> None:
    assert classify(np.array([[0.1]], dtype), spec(), 1, []).tolist() == [["0.1:0"]]
    tiny = np.array([[1e-7]], dtype)
    (found,) = classify(tiny, spec(), 1, []).tolist()[0]
    assert dtype(found.split(":")[0]) == tiny[0, 0]


def test_classes_without_a_label_have_none() -> None:
    assert classify(np.array([[1, 3, 2]]), spec(), 3, LABELS[:1]).tolist() == [
        ["3:1", "2:2", "1:0:ant"]
    ]


def test_there_are_never_more_than_there_are_classes() -> None:
    assert classify(np.zeros((2, 3), np.int8), spec(), 1000, []).shape == (2, 3)


def test_equal_values_come_by_index_and_nan_last() -> None:
    row = np.array([[2, np.nan, 7, 2, 7]], np.float16)
    found = classify(row, spec(), 5, []).tolist()[0]
    assert [text.split(":")[1] for text in found] == ["2", "4", "0", "3", "1"]


def test_an_output_without_batch_is_one_item_and_another_batch_axis_is_heeded() -> None:
    flat = classify(np.array([[1, 2], [4, 3]]), spec(batch_axis=None), 2, [])
    assert flat.tolist() == ["4:2", "3:3"]
    turned = classify(np.array([[1, 2], [4, 3]]), spec(batch_axis=1), 1, [])
    assert turned.tolist() == [["4:1"], ["3:1"]]


def test_bfloat16_is_compared_as_the_numbers_it_stands_for() -> None:
    words = np.array([[0xBF80, 0x3F80, 0x4000]], np.uint16)  # -1, 1, 2
    found = classify(words, spec(DataType.BFLOAT16), 3, []).tolist()
    assert found == [["2.0:2", "1.0:1", "-1.0:0"]]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_the_order_is_that_of_the_values(values: list[int]) -> None:
    found = classify(np.array([values], np.int64), spec(DataType.INT64), len(values), [])
    expected = sorted(range(len(values)), key=lambda index: (-values[index], index))
    assert found.tolist() == [[f"{values[index]}:{index}" for index in expected]]


@pytest.mark.parametrize("is_binary", [False, True])
def test_the_answer_is_a_bytes_tensor_in_either_form(is_binary: bool) -> None:
    shape = ("batch", 3)
    manifest = manifest_of([("x", DataType.FLOAT, shape)], [("y", DataType.FLOAT, shape)])
    it = V2Codec(manifest, lambda: {"y": LABELS})
    parameters = {"classification": 2, "binary_data": is_binary}
    array = np.array([[1, 3, 2]], np.float32)
    wanted = [{"name": "y", "parameters": parameters}]
    request = it.decode(*asked(array, DataType.FLOAT, outputs=wanted))
    document, tails = answered(it.encode({"y": array}, request))
    output = document["outputs"][0]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 2])
    if is_binary:
        assert tails["y"] == b"\x09\0\0\x003.0:1:bee\x09\0\0\x002.0:2:cat"
    else:
        assert output["data"] == ["3.0:1:bee", "2.0:2:cat"]


@pytest.mark.parametrize("dtype", [DataType.BOOL, DataType.STRING])
def test_an_output_without_order_cannot_be_classified(dtype: DataType) -> None:
    array = np.array([[True, False]]) if dtype is DataType.BOOL else np.array([["a", "b"]], object)
    wanted = [{"name": "y", "parameters": {"classification": 1}}]
    with pytest.raises(BadRequest, match="no highest values"):
        codec(dtype).decode(*asked(array, dtype, outputs=wanted))
