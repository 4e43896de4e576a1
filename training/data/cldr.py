"""Labelled phrases "which language is this", made from the CLDR data that Babel carries.

The CLDR is the Unicode Consortium's collection of how locales write names, dates and amounts. A phrase
is one name (territory, language, script, currency, unit, time zone …), an amount, a date, a moment
relative to now, or several of these joined by the locale's own list pattern. The label is the English
name of the language. Everything follows from the seed.

What cannot leak. Every source item (a territory, a currency, a unit, a pair of weekday and month …)
belongs to one split in all languages, so "Germany" is never learned in one language and asked in the
next. No phrase of a later split has the same letters as one of an earlier split, even with other
numbers. Phrases whose letters are equal in two languages, or that have fewer than four letters
(two, where a letter is a syllable or a word), are left out: nobody could label them.

What does leak, as in any text of a language: words. Held-out "Austrian schilling" shares a word with
"Kenyan shilling", month names and the patterns' own words ("de", "und") occur in every split.

What this is not: a sample of ordinary sentences. Names and patterns carry a language's spelling and
little of its grammar, so a figure measured here says little about chat messages.
"""

import hashlib
import unicodedata
from itertools import chain, islice
from random import Random
from typing import Final, Literal, TypeAlias

import numpy as np
from babel import Locale

from training.data.cldr_phrases import PhraseMaker, SourceItem, source_items
from training.data.labelled_text import LabelledText, TextData
from training.errors import DataError

Split: TypeAlias = Literal["train", "validation", "test"]

# Thirteen scripts; near neighbours on purpose (Danish and Norwegian, Czech and Slovak, Hindi and
# Marathi, Spanish, Catalan and Portuguese, four languages in Cyrillic).
_LATIN = "en de nl sv da nb fi pl cs sk hr hu ro fr es pt it ca tr vi id"
_OTHERS = "el ru uk bg sr ka he ar fa hi mr bn ta th zh ja ko"
LANGUAGES: Final = (*_LATIN.split(), *_OTHERS.split())
_SHARES: Final = {"test": 0.15, "validation": 0.10}  # of the source items; the rest is for training
_ATTEMPTS = 12  # phrases tried for each one wanted: many are repeated
_SPARE = 1.5  # candidates kept for each one wanted: some turn out ambiguous
_DENSE_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")  # beginnings of Unicode character names

# language name → split → letters → phrase
Candidates: TypeAlias = dict[str, dict[Split, dict[str, str]]]


def load_phrases(seed: int, train: int = 600, validation: int = 60, test: int = 100) -> TextData:
    """Phrases in `LANGUAGES`; the numbers are phrases for each language in each split.

    Raises DataError when a language has not that many to give.
    """
    wanted: dict[Split, int] = {"train": train, "validation": validation, "test": test}
    names = {code: str(Locale.parse(code).english_name) for code in LANGUAGES}
    classes = tuple(sorted(names.values()))
    candidates = {names[code]: _candidates(code, seed, wanted) for code in LANGUAGES}
    ambiguous = _ambiguous(candidates)
    train_set, validation_set, test_set = (
        _collect(candidates, ambiguous, classes, split, count) for split, count in wanted.items()
    )
    return TextData("cldr-phrases", classes, train_set, validation_set, test_set)


def split_of(item: str, seed: int) -> Split:
    """The split that a source item belongs to, in every language; depends on nothing else."""
    digest = hashlib.sha256(f"{seed}/{item}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < _SHARES["test"]:
        return "test"
    return "validation" if position < _SHARES["test"] + _SHARES["validation"] else "train"


def letters_of(text: str) -> str:
    """What must differ between phrases: letters and marks, folded; no digits, spaces, punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in folded if unicodedata.category(sign)[0] in "LM")


def _candidates(code: str, seed: int, wanted: dict[Split, int]) -> dict[Split, dict[str, str]]:
    """Per split: letters → phrase. Letters met in an earlier split are not used again."""
    locale = Locale.parse(code)
    items: dict[Split, list[SourceItem]] = {split: [] for split in wanted}
    for item in source_items(locale):
        items[split_of(item.key, seed)].append(item)
    seen: set[str] = set()
    found: dict[Split, dict[str, str]] = {}
    for split, count in wanted.items():
        maker = PhraseMaker(locale, items[split], Random(f"{seed}/{code}/{split}"))
        found[split] = {}
        for phrase in islice(maker, _ATTEMPTS * count):
            letters = letters_of(phrase)
            if _can_be_told(letters) and letters not in seen:
                found[split].setdefault(letters, phrase)
            if len(found[split]) >= _SPARE * count:
                break
        seen |= found[split].keys()
    return found


def _can_be_told(letters: str) -> bool:
    """Whether there is enough to go by: four letters, or two where each is a syllable or a word."""
    is_dense = any(unicodedata.name(sign, "").startswith(_DENSE_SCRIPTS) for sign in letters)
    return len(letters) >= (2 if is_dense else 4)


def _ambiguous(candidates: Candidates) -> set[str]:
    """Letters that more than one language has, in whichever splits."""
    owner: dict[str, str] = {}
    ambiguous: set[str] = set()
    for name, splits in candidates.items():
        for letters in chain.from_iterable(splits.values()):
            if owner.setdefault(letters, name) != name:
                ambiguous.add(letters)
    return ambiguous


def _collect(
    candidates: Candidates, ambiguous: set[str], classes: tuple[str, ...], split: Split, count: int
) -> LabelledText:
    texts: list[str] = []
    for name in classes:
        found = candidates[name][split]
        mine = [phrase for letters, phrase in found.items() if letters not in ambiguous][:count]
        if len(mine) < count:
            raise DataError(
                f"{name} has only {len(mine)} {split} phrases of {count}: ask for fewer"
            )
        texts += mine
    return LabelledText(tuple(texts), np.repeat(np.arange(len(classes), dtype=np.int64), count))
