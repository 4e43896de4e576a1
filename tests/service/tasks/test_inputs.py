import base64

import numpy as np
import pytest

from models.datatypes import DataType
from models.errors import InputError
from models.manifest import TensorSpec
from service.tasks.inputs import decode_text, read_file_bytes, read_tensor, read_text

PICTURE = base64.b64encode(b"picture").decode()


@pytest.mark.parametrize(
    "form",
    [PICTURE, {"b64": PICTURE}, {"image": PICTURE}, f"data:image/png;base64,{PICTURE}"],
    ids=["text", "b64", "image", "data-url"],
)
def test_a_picture_is_read_from_every_usual_form(form: object) -> None:
    assert read_file_bytes(form) == b"picture"


@pytest.mark.parametrize(
    "form",
    ["!!!", "é", "", "abc", 7, None, True, {}, {"b64": 3}, {"b64": PICTURE, "x": 1}, {"url": "x"}],
)
def test_what_is_no_picture_is_the_callers_mistake(form: object) -> None:
    with pytest.raises(InputError):
        read_file_bytes(form)


def test_text_is_read_alone_or_as_a_member() -> None:
    assert read_text("hej", "text") == "hej"
    assert read_text({"text": "hej"}, "text") == "hej"


@pytest.mark.parametrize("form", [1, None, ["a"], {"text": 1}, {"txt": "a"}, {"text": "a", "b": 1}])
def test_what_is_no_text_is_refused_with_its_kind(form: object) -> None:
    with pytest.raises(InputError, match="text must be a string, not "):
        read_text(form, "text")


def test_a_body_that_is_not_utf8_is_refused_with_the_position() -> None:
    with pytest.raises(InputError, match="not UTF-8 \\(byte 1\\)"):
        decode_text(b"a\xff", "text")
    assert decode_text(b"\xef\xbb\xbfa", "text") == "a"


def _spec(dtype: DataType, *shape: int | str) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=("batch", *shape))


def test_nested_and_flat_lists_fill_a_fixed_shape() -> None:
    spec = _spec(DataType.FLOAT, 2, 2)
    nested = read_tensor([[1, 2], [3, 4.5]], spec)
    assert nested.dtype == np.float32
    assert np.array_equal(nested, read_tensor([1, 2, 3, 4.5], spec))


def test_a_scalar_axis_free_input_takes_a_number() -> None:
    assert read_tensor(3, _spec(DataType.INT64)).shape == ()


def test_named_axes_take_any_size_and_strings_stay_strings() -> None:
    assert read_tensor([[1], [2]], _spec(DataType.INT64, "n", 1)).shape == (2, 1)
    assert read_tensor(["a", "b"], _spec(DataType.STRING, "n")).tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "dtype", "complaint"),
    [
        ([1, 2], DataType.FLOAT, "shape \\[2\\] does not fit \\[3\\]"),
        ([[1], [2, 3]], DataType.FLOAT, "ragged"),
        ([1, 2, "a"], DataType.FLOAT, "must hold numbers"),
        ([1, 2, None], DataType.FLOAT, "must hold numbers"),
        ([1, 2, 1e39], DataType.FLOAT, "outside FP32"),
        ([1, 2, 3.5], DataType.INT64, "must hold integers"),
        ([True, False, True], DataType.INT64, "must hold integers"),
        ([1, 2, 300], DataType.UINT8, "outside UINT8"),
        ([-1, 2, 3], DataType.UINT8, "outside UINT8"),
        ([0, 1, 2], DataType.BOOL, "must hold booleans"),
        ([1, 2, 3], DataType.STRING, "must hold strings"),
        ([1, 2, 3], DataType.BFLOAT16, "binary form only"),
        ({"a": 1}, DataType.FLOAT, "must hold numbers"),
        ([], DataType.FLOAT, "shape \\[0\\] does not fit"),
    ],
)
def test_wrong_numbers_are_refused_naming_the_input(
    value: object, dtype: DataType, complaint: str
) -> None:
    with pytest.raises(InputError, match=f"input 'x'.*{complaint}"):
        read_tensor(value, _spec(dtype, 3))


def test_deep_nesting_is_refused() -> None:
    value: object = 1
    for _ in range(200):
        value = [value]
    with pytest.raises(InputError):
        read_tensor(value, _spec(DataType.FLOAT, 3))
