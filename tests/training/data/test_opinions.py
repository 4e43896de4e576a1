"""Generated opinions are what their label says, and no sentence stands in two splits."""

import re

import pytest

from training.data import opinions
from training.data.opinions import _BAD, _GOOD, _TURNED, load_opinions
from training.errors import DataError


def polarity(clause: str) -> int:
    """Reads a clause as a person does."""
    good = any(re.search(rf"\b{word}\b", clause) for word in _GOOD)
    bad = any(re.search(rf"\b{word}\b", clause) for word in _BAD)
    assert good != bad, clause
    turned = any(f" {turn}" in clause for turn in _TURNED) or clause.startswith(
        ("nobody would", "i cannot say")
    )
    return int(good != turned)


def read(sentence: str) -> int:
    if " , but " in sentence:
        return polarity(sentence.split(" , but ")[1])
    if sentence.startswith("although "):
        return polarity(sentence.split(" , ")[1])
    return polarity(sentence.split(" , although ")[0])


def test_labels_are_what_a_reader_would_say() -> None:
    data = load_opinions(0, 400, 50, 100)
    for split in (data.train, data.validation, data.test):
        assert [read(text) for text in split.texts] == split.labels.tolist()


def test_both_classes_are_equally_frequent_and_no_sentence_stands_in_two_splits() -> None:
    data = load_opinions(0, 400, 50, 100)
    splits = [set(split.texts) for split in (data.train, data.validation, data.test)]
    assert [len(texts) for texts in splits] == [400, 50, 100]
    assert len(set.union(*splits)) == 550
    assert 0.4 < data.train.labels.mean() < 0.6


def test_the_seed_decides() -> None:
    first, again, other = (load_opinions(seed, 50, 10, 10).sha256() for seed in (1, 1, 2))
    assert first == again != other


def test_more_than_the_grammar_gives_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opinions, "_ATTEMPTS", 1)  # no repeated sentence may be replaced
    with pytest.raises(DataError, match="ask for fewer"):
        load_opinions(0, 5_000, 1, 1)
