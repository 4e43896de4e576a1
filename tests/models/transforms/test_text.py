"""Texts become ids; long, empty and odd ones are answered in words; padding touches only what it may."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from models.blocks import TextPreprocessing
from models.datatypes import DataType
from models.errors import InputError, TextEmpty, TextTooLong
from models.manifest import TensorSpec
from models.transforms.text import TextEncoder, pad_batch


def _encoder(max_tokens: int = 8, special: bool = False) -> TextEncoder:
    vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "hello": 3, "world": 4, "grüß": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    return TextEncoder(tokenizer.to_str(), TextPreprocessing(max_tokens=max_tokens))


def test_ids_and_mask_are_int64_and_as_long_as_the_text() -> None:
    row = _encoder().encode("hello grüß nobody")
    assert row["input_ids"].tolist() == [3, 5, 0]
    assert row["attention_mask"].tolist() == [1, 1, 1]
    assert {array.dtype for array in row.values()} == {np.dtype(np.int64)}


def test_truncation_keeps_the_closing_special_token() -> None:
    row = _encoder(max_tokens=4, special=True).encode("hello " * 50)
    assert row["input_ids"].tolist() == [1, 3, 3, 2]


@pytest.mark.parametrize("words", [9, 10_000, 200_000])
def test_a_long_text_is_refused_with_the_limit_unless_cut(words: int) -> None:
    text = "hello " * words
    with pytest.raises(TextTooLong, match="more than 8 tokens"):
        _encoder().encode(text, truncate=False)
    assert len(_encoder().encode(text)["input_ids"]) == 8


def test_a_text_of_exactly_the_limit_is_taken() -> None:
    assert len(_encoder().encode("hello " * 8, truncate=False)["input_ids"]) == 8


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_text_is_named(text: str) -> None:
    with pytest.raises(TextEmpty):
        _encoder().encode(text)


@pytest.mark.parametrize("text", ["\0", "مرحبا", "a" * 1_000_000, "👩‍👩‍👧", "\u202ehello"])
def test_odd_texts_are_read(text: str) -> None:
    assert _encoder().encode(text)["input_ids"].size >= 1


def _spec(
    name: str = "x", pad_value: float = 0, pad_axes: tuple[str, ...] = ("sequence",)
) -> TensorSpec:
    shape = ("batch", "sequence")
    return TensorSpec(
        name=name, dtype=DataType.INT64, shape=shape, pad_axes=pad_axes, pad_value=pad_value
    )


def test_rows_are_padded_at_the_end_with_the_specs_value() -> None:
    rows = [{"x": np.array([1, 2, 3])}, {"x": np.array([4])}]
    assert pad_batch(rows, [_spec(pad_value=9)])["x"].tolist() == [[1, 2, 3], [4, 9, 9]]


def test_equal_rows_are_only_stacked() -> None:
    rows = [{"x": np.array([1, 2])}] * 3
    assert pad_batch(rows, [_spec(pad_axes=())])["x"].shape == (3, 2)


def test_an_axis_that_may_not_be_padded_is_named() -> None:
    rows = [{"x": np.array([1, 2])}, {"x": np.array([1])}]
    with pytest.raises(InputError, match="axis 'sequence'"):
        pad_batch(rows, [_spec(pad_axes=())])


def test_the_batch_axis_may_lie_elsewhere() -> None:
    spec = TensorSpec(name="x", dtype=DataType.INT64, shape=("sequence", "batch"), batch_axis=1)
    rows = [{"x": np.array([1, 2])}, {"x": np.array([3, 4])}]
    assert pad_batch(rows, [spec])["x"].tolist() == [[1, 3], [2, 4]]
