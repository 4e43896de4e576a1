"""Parallel text: two files of one name and two languages, a sentence a line, aligned; plain or .gz.

The reader behind `--data` of translation: a folder with `train.de` and `train.en`, and if they are there
`val.*` and `test*.*`. Which language is read and which written is said (`--set source=de`), or found from
the names where they leave no choice but the order. Lines of which one side is blank are left out.
"""

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.split_files import split_of
from training.data.text_pairs import PairData, Pairs
from training.errors import DataError

_LEAST = 4  # pairs: some to learn from, one each to validate and to test
_LANGUAGE = re.compile(r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")


@dataclass(frozen=True)
class Parallel:
    """`data` with the source first; `test_name` says which lines judge."""

    data: PairData
    source: str
    target: str
    test_name: str


def is_parallel(data: Path) -> bool:
    """True for a folder with a training file that ends in a language's code."""
    return data.is_dir() and any(split == "train" for split, _, _ in _named(data))


def read_parallel(
    folder: Path,
    source: str | None,
    target: str | None,
    *,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.05,
    seed: int = 0,
) -> Parallel:
    """Raises DataError naming the file, the line and the remedy."""
    found = _files(folder)
    source, target = _languages(folder, sorted(found["train"]), source, target)
    notes: list[str] = []
    parts = {split: _read(folder, files, (source, target), notes) for split, files in found.items()}
    test_name = _base(found["test"][source]) if "test" in found else "held out"
    if "test" not in parts and "validation" in parts:
        # With a single held-out part the figures come from it; validation is cut from training.
        parts["test"] = parts.pop("validation")
        test_name = _base(found["validation"][source])
    for split, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if split not in parts:
            parts[split], parts["train"] = _cut(folder, parts["train"], fraction, seed)
            notes.append(f"{split} cut from the training lines")
    data = PairData(
        name=folder.resolve().name,
        kind="positive",
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        notes=tuple(notes),
    )
    return Parallel(data, source, target, test_name)


def _named(folder: Path) -> list[tuple[str, str, Path]]:
    """(split, language, file) of every file that is named like a part of a parallel text."""
    named = []
    for file in sorted(folder.iterdir()):
        stem, _, language = file.name.removesuffix(".gz").rpartition(".")
        split = split_of(stem) if stem and file.is_file() and file.name[0] != "." else None
        if split is not None and _LANGUAGE.match(language):
            named.append((split, language, file))
    return named


def _files(folder: Path) -> dict[str, dict[str, Path]]:
    """Split → language → file."""
    found: dict[str, dict[str, Path]] = {}
    for split, language, file in _named(folder):
        mine = found.setdefault(split, {})
        if language in mine:
            raise DataError(
                f"{folder}: both {mine[language].name} and {file.name}; keep one of them"
            )
        mine[language] = file
    if "train" not in found:
        raise DataError(
            f"{folder}: no parallel text; expected train.de and train.en, for instance, plain or .gz"
        )
    return found


def _languages(
    folder: Path, known: Sequence[str], source: str | None, target: str | None
) -> tuple[str, str]:
    for wish in (source, target):
        if wish is not None and wish not in known:
            raise DataError(
                f"{folder}: no training file in language {wish!r}; there are {', '.join(known)}"
            )
    if source == target and source is not None:
        raise DataError(f"{folder}: source and target are both {source!r}; name two languages")
    free = [language for language in known if language not in (source, target)]
    if len(known) < 2 or (len(known) > 2 and None in (source, target)):
        raise DataError(
            f"{folder}: training files in {', '.join(known)}; name two of their languages, "
            "e.g. --set source=de --set target=en"
        )
    return source or free.pop(0), target or free.pop(0)


def _read(
    folder: Path, files: dict[str, Path], languages: tuple[str, str], notes: list[str]
) -> Pairs:
    missing = [language for language in languages if language not in files]
    if missing:
        [other] = [_base(file) for file in files.values()][:1]
        raise DataError(f"{folder}: there is no {other}.{missing[0]}; every part needs both sides")
    first, second = (_lines(files[language]) for language in languages)
    if len(first) != len(second):
        short = min(len(first), len(second))
        raise DataError(
            f"{files[languages[0]]} has {len(first):,} lines, {files[languages[1]]} {len(second):,}: "
            f"line {short + 1} has no other side; aligned files have as many lines"
        )
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a and b]
    if blank := len(first) - len(pairs):
        notes.append(f"{blank:,} lines with a blank side left out")
    if not pairs:
        raise DataError(f"{files[languages[0]]}: no line has text on both sides")
    return Pairs(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def _lines(file: Path) -> list[str]:
    data = b""
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}, line {line}: not UTF-8; convert it, e.g. iconv -f windows-1252 -t utf-8"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{file}: not a whole gzip file; compress it again") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    # Not splitlines: it also breaks at the rarer separators that occur inside texts.
    lines = text.split("\n")
    if lines and not lines[-1].strip():
        lines.pop()
    return [" ".join(line.split()) for line in lines]


def _base(file: Path) -> str:
    return file.name.removesuffix(".gz").rpartition(".")[0]


def _cut(folder: Path, pairs: Pairs, fraction: float, seed: int) -> tuple[Pairs, Pairs]:
    """(held out, kept): equal source lines go the same way."""
    groups = {text: number for number, text in enumerate(dict.fromkeys(pairs.first))}
    count = max(1, round(fraction * len(groups)))
    if len(groups) < max(_LEAST, 2 * count + 1):
        raise DataError(
            f"{folder}: {len(groups)} different lines are too few to hold some out; give at least "
            f"{_LEAST}, or val.* and test.* files"
        )
    held_out = set(np.random.default_rng(seed).permutation(len(groups))[:count].tolist())
    is_held_out = np.array([groups[text] in held_out for text in pairs.first])
    return pairs.take(np.flatnonzero(is_held_out)), pairs.take(np.flatnonzero(~is_held_out))
