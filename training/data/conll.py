"""Tagged words in CoNLL columns: a word a line, its tag in the last column, a blank line after a sentence.

The reader behind `--data` of token classification. Columns are separated by tabs or by spaces; columns
between word and tag are not read. `-DOCSTART-` lines and comments before a sentence are left out. Tags of
the schemes IOB1, BIO (IOB2), BIOES and BILOU are read and kept as BIO. A folder's own splits are
respected; what is missing is cut from the training sentences by seed.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from models.transforms.tags import OUTSIDE, to_bio
from training.data.split_files import read_utf8, split_files
from training.data.tagged_text import Sentences, TaggedData, TaggedSentence, bio_labels
from training.errors import DataError

AUTO = "auto"
_DOCUMENT = "-DOCSTART-"
_TAG = re.compile(r"O|[BIESLU]-\S+")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)?:")  # `en:` before every word, as in WikiANN


class ConllChoice(NamedTuple):
    """`token_prefix`: what stands before every word and is taken off; "auto": a language code."""

    token_prefix: str = AUTO
    validation_fraction: float = 0.1
    test_fraction: float = 0.15
    seed: int = 0


class _Line(NamedTuple):
    number: int
    word: str
    tag: str


def load_conll(data: Path, choice: ConllChoice | None = None) -> TaggedData:
    """Read a file or a folder. Raises DataError naming file, line and remedy."""
    choice = choice or ConllChoice()
    splits = {
        split: read_sentences(path, choice.token_prefix)
        for split, path in split_files(data).items()
    }
    if not any(tag != OUTSIDE for sentence in splits["train"] for tag in sentence.tags):
        raise DataError(f"{data}: no training sentence has an entity; is the tag the last column?")
    labels = bio_labels(splits.values())
    train, validation, test, notes = _complete(data, splits, choice)
    taught = set(bio_labels([train]))
    untaught = [label[2:] for label in labels if label not in taught and label.startswith("B-")]
    if untaught:
        notes.append(f"no training sentence has {', '.join(untaught)}")
    return TaggedData(data.resolve().stem, labels, train, validation, test, tuple(notes))


def read_sentences(path: Path, token_prefix: str = AUTO) -> Sentences:
    """The sentences of one file. Raises DataError naming the line."""
    lines = list(_lines(path))
    prefix = _prefix(lines) if token_prefix == AUTO else token_prefix
    sentences, words, tags = [], [], []
    for line in (*lines, None):
        if line is not None:
            words.append(_without(prefix, line, path))
            tags.append(line.tag)
        elif words:
            sentences.append(TaggedSentence(tuple(words), tuple(to_bio(tags))))
            words, tags = [], []
    if not sentences:
        raise DataError(f"{path}: no tagged words; expected a word and its tag in every line")
    return tuple(sentences)


def _lines(path: Path) -> Iterator[_Line | None]:
    """A record for each word, None between sentences."""
    columns, first, is_inside = 0, 0, False
    # Not splitlines: it also breaks at the rarer separators that occur inside texts.
    for number, raw in enumerate(read_utf8(path).split("\n"), start=1):
        text = raw.rstrip("\r")
        if not text.strip() or text.startswith(_DOCUMENT):
            is_inside = False
            yield None
            continue
        text = text.rstrip("\t ")
        cells = text.split("\t") if "\t" in text else text.split()
        if not is_inside and text.startswith("# ") and not _TAG.fullmatch(cells[-1].strip()):
            continue
        is_inside = True
        if not columns:
            columns, first = len(cells), number
        yield _line(path, number, cells, (columns, first))


def _line(path: Path, number: int, cells: Sequence[str], expected: tuple[int, int]) -> _Line:
    word, tag, (columns, first) = cells[0].strip(" "), cells[-1].strip(), expected
    where = f"{path}, line {number}"
    if len(cells) < 2:
        raise DataError(f"{where}: one column; expected a word and, in the last column, its tag")
    if len(cells) != columns:
        raise DataError(f"{where}: {len(cells)} columns where line {first} has {columns}")
    if not word:
        raise DataError(f"{where}: the word is empty; remove the line or fill it in")
    if not _TAG.fullmatch(tag):
        raise DataError(
            f"{where}: {tag[:40]!r} is no tag; expected O, B-TYPE or I-TYPE in the last column"
        )
    return _Line(number, word, tag)


def _prefix(lines: Sequence[_Line | None]) -> str:
    """The language code that every word of the file begins with, or nothing."""
    words = [line.word for line in lines if line is not None]
    found = _LANGUAGE.match(words[0]) if words else None
    return found[0] if found and all(word.startswith(found[0]) for word in words) else ""


def _without(prefix: str, line: _Line, path: Path) -> str:
    if not line.word.startswith(prefix):
        raise DataError(
            f"{path}, line {line.number}: {line.word[:40]!r} does not begin with {prefix!r}; "
            "change it with --set token_prefix=…"
        )
    # A word that is nothing but its prefix was a kind of space before somebody cleaned it.
    return line.word[len(prefix) :] or line.word


def _complete(
    data: Path, splits: dict[str, Sentences], choice: ConllChoice
) -> tuple[Sentences, Sentences, Sentences, list[str]]:
    """(train, validation, test, notes): what no file gave is cut from the training sentences."""
    splits, notes = dict(splits), []
    if "test" not in splits and "validation" in splits:
        # With a single held-out file the figures must come from it; validation is cut from training.
        splits["test"] = splits.pop("validation")
    train = list(splits["train"])
    if len(splits) < 3:
        unique = list(dict.fromkeys(train))
        if repeated := len(train) - len(unique):
            notes.append(f"{repeated:,} repeated sentences used once")
        train = unique
        Random(choice.seed).shuffle(train)
    for split, fraction in (
        ("test", choice.test_fraction),
        ("validation", choice.validation_fraction),
    ):
        if split not in splits:
            count = max(1, round(fraction * len(train)))
            splits[split], train = tuple(train[:count]), train[count:]
            notes.append(f"{split} cut from the training sentences")
    if not train:
        raise DataError(f"{data}: too few sentences to hold some out; give at least 3")
    return tuple(train), splits["validation"], splits["test"], notes
