"""Sentences with people, places and organisations, made from patterns: data that need no download.

A sentence is a pattern with names in its gaps (`training.data.names`), often beside capitals that are no
name: weekdays, months and languages from the CLDR. Everything follows from the seed. Surnames, places and
every fifth pattern are kept apart between the splits; what is shared is stated in `names`. What this is
not: newspaper text. A figure measured here says that the way from training to a served answer works, and
little about other people's sentences.
"""

import re
from random import Random
from typing import Final

from babel import Locale

from models.transforms.words import split_words
from training.data.cldr import Split
from training.data.names import Names
from training.data.tagged_text import Sentences, TaggedData, TaggedSentence, bio_labels

_GAP: Final = re.compile(r"\{(\w+)\}")
_LANGUAGES: Final = "de en es fr it ja pt zh"
_TYPES: Final = {"person": "PER", "surname": "PER", "place": "LOC", "organisation": "ORG"}
# In every split; the held-out ones have the other patterns too.
_PATTERNS: Final = """
{person} was born in {place} .
{person} , who studied {language} at {organisation} , moved to {place} in {month} .
On {weekday} {organisation} opened an office in {place} .
{organisation} beat {organisation} by three goals in {place} .
The meeting between {person} and {person} was held in {place} on {weekday} .
" We will not sell , " said {surname} , who has led {organisation} since {month} .
Heavy rain is expected in {place} and {place} this {weekday} .
{organisation} has hired {person} from {organisation} .
The {language} edition was printed in {place} by {organisation} .
Mr {surname} told {organisation} that he would return to {place} .
Nobody at the office answered the telephone on {weekday} .
He speaks {language} and a little {language} .
{place} is the largest city of {place} .
Shares in {organisation} fell after {surname} resigned .
The road from {place} to {place} is closed until {month} .
In {month} the library bought two hundred books in {language} .
Dr {person} ( {organisation} ) gave the first lecture .
The concert of {organisation} in {place} was sold out .
According to {organisation} , prices rose again in {month} .
Tickets for the match against {organisation} go on sale on {weekday} .
""".strip().splitlines()
_HELD_OUT: Final = """
After ten years in {place} , {person} joined {organisation} .
{surname} and {surname} met at {organisation} .
Last {month} a storm hit the coast of {place} .
{organisation} , based in {place} , teaches {language} .
A train left {place} on {weekday} with {person} on board .
""".strip().splitlines()


def load_entity_sentences(seed: int, train: int, validation: int, test: int) -> TaggedData:
    """So many different sentences in each split."""
    counts: dict[Split, int] = {"train": train, "validation": validation, "test": test}
    parts = {split: _sentences(split, count, seed) for split, count in counts.items()}
    return TaggedData(
        name="entity-sentences",
        labels=bio_labels([parts["train"]]),
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
    )


def _sentences(split: Split, count: int, seed: int) -> Sentences:
    names, random = Names(split, seed), Random(f"sentences/{seed}/{split}")
    patterns = _PATTERNS if split == "train" else [*_PATTERNS, *_HELD_OUT]
    fillers = _fillers()
    found: dict[TaggedSentence, None] = {}  # in the order of making, each once
    while len(found) < count:
        found[_sentence(random.choice(patterns), names, fillers, random)] = None
    return tuple(found)


def _sentence(
    pattern: str, names: Names, fillers: dict[str, tuple[str, ...]], random: Random
) -> TaggedSentence:
    words: list[str] = []
    tags: list[str] = []
    for part in pattern.split():
        gap = _GAP.fullmatch(part)
        if gap is None or gap[1] in fillers:
            text, kind = (part if gap is None else random.choice(fillers[gap[1]])), None
        else:
            text, kind = getattr(names, gap[1])(), _TYPES[gap[1]]
        pieces = [text[start:end] for start, end in split_words(text)]
        words += pieces
        tags += (
            ["O"] * len(pieces)
            if kind is None
            else [f"B-{kind}", *[f"I-{kind}"] * (len(pieces) - 1)]
        )
    return TaggedSentence(tuple(words), tuple(tags))


def _fillers() -> dict[str, tuple[str, ...]]:
    locale = Locale.parse("en")
    return {
        "weekday": tuple(str(name) for name in locale.days["format"]["wide"].values()),
        "month": tuple(str(name) for name in locale.months["format"]["wide"].values()),
        "language": tuple(str(locale.languages[code]) for code in _LANGUAGES.split()),
    }
