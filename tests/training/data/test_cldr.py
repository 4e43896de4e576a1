"""Phrases are labelled, repeatable, balanced, and nothing of a later split was met in an earlier one."""

import unicodedata
from itertools import combinations

import numpy as np
import pytest
from babel import Locale

from training.data import cldr
from training.data.cldr_phrases import source_items
from training.data.labelled_text import LabelledText, TextData
from training.errors import DataError

COUNTS = {"train": 120, "validation": 20, "test": 40}


@pytest.fixture(scope="module")
def phrases() -> TextData:
    return cldr.load_phrases(seed=0, **COUNTS)


def _splits(data: TextData) -> dict[str, LabelledText]:
    return {"train": data.train, "validation": data.validation, "test": data.test}


def test_every_language_has_as_many_phrases_as_asked_for(phrases: TextData) -> None:
    assert len(phrases.classes) == len(cldr.LANGUAGES) >= 20
    for name, split in _splits(phrases).items():
        assert set(np.bincount(split.labels)) == {COUNTS[name]}
        assert len(split.texts) == len(split.labels)


def test_many_scripts_are_written(phrases: TextData) -> None:
    text = "".join(phrases.train.texts)
    scripts = {unicodedata.name(sign, "?").split()[0] for sign in text if sign.isalpha()}
    wanted = {"LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "TAMIL"}
    assert wanted | {"THAI", "GEORGIAN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL"} <= scripts


def test_no_letters_are_shared_between_splits_nor_between_languages(phrases: TextData) -> None:
    for first, second in combinations(_splits(phrases).values(), 2):
        assert not {cldr.letters_of(t) for t in first.texts} & {
            cldr.letters_of(t) for t in second.texts
        }
    owners: dict[str, set[int]] = {}
    for split in _splits(phrases).values():
        for text, label in zip(split.texts, split.labels, strict=True):
            owners.setdefault(cldr.letters_of(text), set()).add(int(label))
    assert {len(labels) for labels in owners.values()} == {1}


def test_source_items_lie_in_one_split_whatever_the_language() -> None:
    keys = {code: {item.key for item in source_items(Locale.parse(code))} for code in ("es", "ja")}
    shared = keys["es"] & keys["ja"]
    assert len(shared) > 1500
    found = {split: {key for key in shared if cldr.split_of(key, 0) == split} for split in COUNTS}
    assert sum(len(part) for part in found.values()) == len(shared)
    assert 0.1 < len(found["test"]) / len(shared) < 0.2
    assert found["test"] != {key for key in shared if cldr.split_of(key, 1) == "test"}


def test_a_held_out_territory_is_no_training_phrase_in_any_language() -> None:
    phrases = cldr.load_phrases(seed=0, train=60, validation=1, test=1)
    countries = ("CH", "DE", "FR", "JP", "KE", "MX", "NO", "TH", "UA", "BR", "TD", "PE")
    held_out = [code for code in countries if cldr.split_of(f"territory/{code}", 0) != "train"]
    assert held_out
    names = {Locale.parse(c).english_name: Locale.parse(c).territories for c in cldr.LANGUAGES}
    for text, label in zip(phrases.train.texts, phrases.train.labels, strict=True):
        # Whole-phrase equality: a held-out country's adjective may well occur ("Swiss franc").
        assert text not in {names[phrases.classes[label]][code] for code in held_out}


def test_phrases_follow_from_the_seed_alone(phrases: TextData) -> None:
    assert cldr.load_phrases(seed=0, **COUNTS).sha256() == phrases.sha256()
    assert cldr.load_phrases(seed=1, **COUNTS).sha256() != phrases.sha256()


def test_phrases_have_letters_to_go_by(phrases: TextData) -> None:
    shortest = min(phrases.test.texts, key=lambda text: len(cldr.letters_of(text)))
    assert len(cldr.letters_of(shortest)) >= 2
    assert not any(text != text.strip() or not text for text in phrases.train.texts)


def test_letters_ignore_numbers_case_and_width() -> None:
    assert cldr.letters_of("３ May 2021, Ｋm") == cldr.letters_of("17 MAY 1999; km") == "maykm"
    assert cldr.letters_of("हिन्दी 5") == "हिन्दी"  # vowel signs are marks, not letters, and count


def test_asking_for_more_phrases_than_a_language_has_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cldr, "_ATTEMPTS", 0)
    with pytest.raises(DataError, match="Arabic has only 0 train phrases of 5: ask for fewer"):
        cldr.load_phrases(seed=0, train=5, validation=1, test=1)
