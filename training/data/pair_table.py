"""Pairs and triplets of texts from TSV, CSV or JSON Lines: one file, or a folder with train/dev/test files.

The reader behind `--data` of sentence embedding and text similarity. Two columns are pairs that belong
together; a third one that holds numbers says how much; a third one that holds texts is what does not
belong (anchor, positive, negative). Other columns are left out when the three are named. Splits are cut
so that no first text stands in two of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from training.data.split_files import split_files
from training.data.table_columns import AUTO
from training.data.table_files import Row, Table, read_table
from training.data.text_pairs import Kind, PairData, Pairs
from training.errors import DataError

NONE: Final = "none"
Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
_NAMES: Final[Names] = (
    ("text", "sentence1", "sentence", "anchor", "query", "question", "source", "premise", "text1", "a"),
    (
        "text_pair", "sentence2", "positive", "answer", "passage", "document", "target", "hypothesis",
        "text2", "pos", "paraphrase", "b",
    ),
    ("score", "label", "similarity", "similarity_score", "negative", "neg", "c"),
)  # fmt: skip


@dataclass(frozen=True)
class PairChoice:
    """How to read: columns by name, position (from 1) or "auto"; the third one may be "none"."""

    columns: tuple[str, str, str] = (AUTO, AUTO, AUTO)
    names: Names = _NAMES  # what columns are called, the likeliest first
    validation_fraction: float = 0.1
    test_fraction: float = 0.15
    seed: int = 0


class _Columns(NamedTuple):
    first: int
    second: int
    third: int | None
    header_rows: int
    width: int


class _Split(NamedTuple):
    kind: Kind
    pairs: Pairs
    repeated: int


def load_pair_table(path: Path, choice: PairChoice | None = None) -> PairData:
    """Read `path`. Raises DataError naming file, line and remedy."""
    choice = choice or PairChoice()
    files = split_files(path)
    found: dict[str, _Split] = {}
    for split in ("train", "validation", "test"):
        if split in files:
            table = read_table(files[split])
            found[split] = _read(table, choice)
            kinds = {part.kind for part in found.values()}
            if len(kinds) > 1:
                raise DataError(
                    f"{files[split]}: holds {found[split].kind} rows where the training file holds "
                    f"{found['train'].kind} ones; give all files the same columns"
                )
    return _assemble(path, found, choice)


def _read(table: Table, choice: PairChoice) -> _Split:
    columns = _find_columns(table, choice.columns, choice.names)
    rows = table.rows[columns.header_rows :]
    if not rows:
        raise DataError(f"{table.path}: nothing but column names; add rows")
    kind = _kind(rows[0], columns)
    unique: dict[tuple[str, ...], None] = {}
    for row in rows:
        unique.setdefault(_cells(table, row, columns, kind))
    cells = list(unique)
    third = [row[2] for row in cells] if kind != "positive" else []
    pairs = Pairs(
        tuple(row[0] for row in cells),
        tuple(row[1] for row in cells),
        np.array([float(text) for text in third] if kind == "scored" else [], np.float32),
        tuple(third) if kind == "triplet" else (),
    )
    return _Split(kind, pairs, len(rows) - len(cells))


def _kind(row: Row, columns: _Columns) -> Kind:
    if columns.third is None:
        return "positive"
    cell = row.cells[columns.third] if columns.third < len(row.cells) else ""
    return "triplet" if _number(cell) is None else "scored"


def _cells(table: Table, row: Row, columns: _Columns, kind: Kind) -> tuple[str, ...]:
    if len(row.cells) != columns.width:
        raise table.fail(
            row.line,
            f"{len(row.cells)} columns where {columns.width} are expected; every line needs all of "
            "them, and a separator inside a text must be quoted (.csv) or replaced (.tsv)",
        )
    wanted = [columns.first, columns.second] + ([] if columns.third is None else [columns.third])
    cells = tuple(row.cells[column].strip() for column in wanted)
    for name, cell in zip(("first text", "second text", "third column"), cells, strict=False):
        if not cell:
            raise table.fail(row.line, f"the {name} is empty; remove the line or fill it in")
    if kind == "scored" and _number(cells[2]) is None:
        raise table.fail(
            row.line, f"the score {cells[2][:40]!r} is not a number, as it is in the first row"
        )
    return cells


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _find_columns(table: Table, wishes: tuple[str, str, str], usual: Names) -> _Columns:
    names = _header(table, wishes, usual)
    count = len(names) if names else len(table.rows[0].cells)
    found = [
        _wished(table, wish, names, count) if wish not in (AUTO, NONE) else None for wish in wishes
    ]
    known = [_first_known(names, options) for options in usual]
    for place, wish in enumerate(wishes):
        if wish == AUTO and found[place] is None and known[place] not in found:
            found[place] = known[place]
    free = [column for column in range(count) if column not in found]
    if count <= 3:  # what has no known name stands in the usual order
        for place, wish in enumerate(wishes):
            if found[place] is None and wish == AUTO and free:
                found[place] = free.pop(0)
    first, second, third = found
    if first is None or second is None:
        raise DataError(
            f"{table.path}, line {table.rows[0].line}: cannot tell the two texts' columns among "
            f"{count}; two or three columns are expected, or name them, e.g. --set columns=1,2,none"
        )
    return _Columns(first, second, third, int(names is not None and not table.names), count)


def _header(table: Table, wishes: tuple[str, str, str], usual: Names) -> list[str] | None:
    """The columns' names, or None where the first row is data."""
    if table.names is not None:
        return list(table.names)
    first = [cell.strip() for cell in table.rows[0].cells]
    if any(wish not in (AUTO, NONE) and not wish.isdigit() for wish in wishes):
        return first
    known = {name for options in usual for name in options}
    named = sum(cell.casefold() in known for cell in first)
    return first if named >= 2 else None  # one word may be a text, two side by side hardly


def _wished(table: Table, wish: str, names: list[str] | None, count: int) -> int:
    folded = [name.casefold() for name in names or ()]
    if wish.casefold() in folded:
        return folded.index(wish.casefold())
    if wish.isdigit() and 1 <= int(wish) <= count:
        return int(wish) - 1
    raise DataError(
        f"{table.path}, line {table.rows[0].line}: there is no column {wish!r}; the file has "
        f"{count} columns{': ' + ', '.join(names) if names else ', counted from 1'}"
    )


def _first_known(names: list[str] | None, options: Sequence[str]) -> int | None:
    folded = [name.casefold() for name in names or ()]
    return next((folded.index(name) for name in options if name in folded), None)


def _assemble(path: Path, found: dict[str, _Split], choice: PairChoice) -> PairData:
    parts = {split: part.pairs for split, part in found.items()}
    if "test" not in parts and "validation" in parts:
        # With a single held-out file the figures must come from it; validation is cut from training.
        parts["test"] = parts.pop("validation")
    notes = []
    if repeated := sum(part.repeated for part in found.values()):
        notes.append(f"{repeated:,} repeated rows used once")
    rest = parts["train"]
    for split, fraction in (
        ("test", choice.test_fraction),
        ("validation", choice.validation_fraction),
    ):
        if split not in parts:
            parts[split], rest = _cut(path, rest, fraction, choice.seed)
            notes.append(f"{split} cut from the training rows")
    kind = found["train"].kind
    if kind == "scored" and len(np.unique(rest.scores)) < 2:
        raise DataError(f"{path}: every row has the same score; there is nothing to learn from")
    name = path.resolve().stem
    return PairData(name, kind, rest, parts["validation"], parts["test"], None, tuple(notes))


def _cut(path: Path, pairs: Pairs, fraction: float, seed: int) -> tuple[Pairs, Pairs]:
    """(held out, kept): all rows of a first text go the same way."""
    groups = {text: number for number, text in enumerate(dict.fromkeys(pairs.first))}
    order = np.random.default_rng(seed).permutation(len(groups))
    count = max(1, round(fraction * len(groups)))
    if len(groups) < 2 * count + 1:
        raise DataError(
            f"{path}: too few rows to hold some out; give at least four different first texts"
        )
    held_out = set(order[:count].tolist())
    is_held_out = np.array([groups[text] in held_out for text in pairs.first])
    return pairs.take(np.flatnonzero(is_held_out)), pairs.take(np.flatnonzero(~is_held_out))
