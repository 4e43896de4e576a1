"""Labelled text from TSV, CSV or JSON Lines: one file, or a folder with train/dev/test files.

The reader behind `--data` of text classification. A folder's own splits are respected; what is missing
is cut from the training rows, by class and by seed. In rows cut here a text that occurs twice is used
once, so that no split can be recognised from another; given splits are left as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from training.data.images import stratified_rows
from training.data.labelled_text import LabelledText, TextData, encode_labels
from training.data.table_columns import AUTO, Columns, find_columns
from training.data.table_files import SUFFIXES, Table, read_table
from training.errors import DataError

_SPLIT_NAMES: Final = {
    "train": ("train", "training"),
    "validation": ("dev", "val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class TableChoice:
    """How to read: columns by name, position (from 1) or "auto", and what part to hold out."""

    text_column: str = AUTO
    label_column: str = AUTO
    validation_fraction: float = 0.1
    test_fraction: float = 0.15
    seed: int = 0


class Sample(NamedTuple):
    text: str
    label: str
    line: int


def load_text_table(path: Path, choice: TableChoice | None = None) -> TextData:
    """Read `path`. Raises DataError naming file, line and remedy."""
    choice = choice or TableChoice()
    files = _files(path)
    samples: dict[str, list[Sample]] = {}
    wishes = (choice.text_column, choice.label_column)
    for split in ("train", "validation", "test"):  # the training file decides about the columns
        if split in files:
            table = read_table(files[split])
            columns = find_columns(table, *wishes)
            samples[split] = _samples(table, columns)
            wishes = _same_columns(table, columns)
    classes = _classes(files["train"], samples["train"])
    for split, rows in samples.items():
        _require_known(files[split], rows, classes)
    return _assemble(path, samples, classes, choice)


def _files(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise DataError(f"--data {path}: no such file or folder")
    if path.is_file():
        return {"train": path}
    tables = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if len(tables) == 1:
        return {"train": tables[0]}
    found: dict[str, Path] = {}
    for split, names in _SPLIT_NAMES.items():
        mine = [file for file in tables if file.stem.lower() in names]
        if len(mine) > 1:
            raise DataError(f"{path}: both {mine[0].name} and {mine[1].name}; keep one of them")
        if mine:
            found[split] = mine[0]
    if "train" not in found:
        raise DataError(
            f"{path}: no training file; expected train.tsv (or {', '.join(SUFFIXES[1:])}) "
            "and, if you have them, dev and test files"
        )
    return found


def _samples(table: Table, columns: Columns) -> list[Sample]:
    samples = []
    for line, cells in table.rows[columns.header_rows :]:
        if len(cells) != columns.count:
            remedy = (
                "every line needs all of them"
                if len(cells) < columns.count
                else "a separator inside a text must be quoted (.csv) or replaced (.tsv)"
            )
            raise table.fail(
                line, f"{_count(len(cells))} where {columns.count} are expected; {remedy}"
            )
        text, label = cells[columns.text].strip(), " ".join(cells[columns.label].split())
        if not text:
            raise table.fail(line, "the text is empty; remove the line or fill it in")
        if not label:
            raise table.fail(line, "the label is empty; remove the line or fill it in")
        samples.append(Sample(text, label, line))
    if not samples:
        raise DataError(f"{table.path}: nothing but column names; add rows")
    return samples


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _same_columns(table: Table, columns: Columns) -> tuple[str, str]:
    """The wishes that make the next file be read as this one was."""
    if table.names is None and not columns.header_rows:
        return str(columns.text + 1), str(columns.label + 1)
    names = table.names or table.rows[0].cells
    return names[columns.text].strip(), names[columns.label].strip()


def _classes(path: Path, samples: Sequence[Sample]) -> tuple[str, ...]:
    """Sorted, as numbers where all are."""
    labels = {sample.label for sample in samples}
    if len(labels) == 1:
        raise DataError(
            f"{path}: every row has the label {labels.pop()!r}; at least two classes are needed "
            "(is it the right label column? --set label_column=…)"
        )
    if len(labels) > max(50, len(samples) // 2):
        raise DataError(
            f"{path}: {len(labels):,} different labels in {len(samples):,} rows; "
            "is it the right label column? Choose it with --set label_column=…"
        )
    if all(label.isascii() and label.isdigit() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _require_known(path: Path, samples: Sequence[Sample], classes: tuple[str, ...]) -> None:
    known = set(classes)
    for sample in samples:
        if sample.label not in known:
            raise DataError(
                f"{path}, line {sample.line}: label {sample.label!r} does not occur in the "
                f"training file; its labels are {', '.join(classes[:10])}"
            )


def _assemble(
    path: Path, samples: dict[str, list[Sample]], classes: tuple[str, ...], choice: TableChoice
) -> TextData:
    if "test" not in samples and "validation" in samples:
        # With a single held-out file the figures must come from it; validation is cut from training.
        samples["test"] = samples.pop("validation")
    notes = []
    train = samples["train"]
    if len(samples) < 3:
        train = list({sample.text: sample for sample in reversed(train)}.values())[::-1]
        if repeated := len(samples["train"]) - len(train):
            notes.append(f"{repeated:,} repeated texts used once")
    parts = {split: _labelled(rows, classes) for split, rows in samples.items()}
    rest = _labelled(train, classes)
    for split, fraction in (
        ("test", choice.test_fraction),
        ("validation", choice.validation_fraction),
    ):
        if split not in parts:
            kept, held_out = stratified_rows(rest.labels, fraction, choice.seed)
            if not held_out.size:
                raise DataError(f"{path}: too few rows to hold some out; give every class two rows")
            parts[split], rest = rest.take(held_out), rest.take(kept)
            notes.append(f"{split} cut from the training rows")
    _require_all_classes(path, rest, classes)
    name = path.resolve().stem
    return TextData(name, classes, rest, parts["validation"], parts["test"], tuple(notes))


def _labelled(samples: Sequence[Sample], classes: tuple[str, ...]) -> LabelledText:
    texts = tuple(sample.text for sample in samples)
    return LabelledText(texts, encode_labels([sample.label for sample in samples], classes))


def _require_all_classes(path: Path, train: LabelledText, classes: tuple[str, ...]) -> None:
    counts = np.bincount(train.labels, minlength=len(classes))
    if not counts.all():
        raise DataError(f"{path}: class {classes[int(counts.argmin())]!r} has no training row left")
