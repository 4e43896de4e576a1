"""Texts of mixed length, the same every time."""

import pytest

from benchmarks.graphs import sentence_encoder
from benchmarks.graphs.sentence_encoder import WORDS, texts


def test_texts_span_every_length_and_repeat() -> None:
    found = texts(64, seed=11)
    assert found == texts(64, seed=11) != texts(64, seed=12)
    lengths = sorted(len(text.split()) for text in found)
    assert (lengths[0], lengths[-1]) == WORDS
    assert sum(lengths) / len(lengths) == pytest.approx(sum(WORDS) / 2, rel=0.02)


def test_tokens_are_never_padded() -> None:
    if sentence_encoder.missing_package():
        pytest.skip(f"{sentence_encoder.missing_package()} is not installed")
    for inputs in sentence_encoder.tokens(texts(8, seed=1)):
        assert inputs["input_ids"].shape == inputs["attention_mask"].shape
        assert inputs["attention_mask"].all()
