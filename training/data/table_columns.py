"""Which column holds the text and which the label, and whether the first row names the columns.

Used by `training.data.text_table`. Wishes are a column's name, its position counted from 1, or "auto".
Refuses to guess where it cannot know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training.data.table_files import Table
from training.errors import DataError

AUTO: Final = "auto"
_TEXT_NAMES: Final = (
    "text",
    "sentence",
    "phrase",
    "content",
    "review",
    "message",
    "comment",
    "title",
)
_LABEL_NAMES: Final = (
    "label",
    "class",
    "category",
    "target",
    "sentiment",
    "intent",
    "topic",
    "lang",
)


@dataclass(frozen=True)
class Columns:
    """Indexes from 0, and how many of the table's first rows are no data."""

    text: int
    label: int
    header_rows: int
    count: int


def find_columns(table: Table, text: str = AUTO, label: str = AUTO) -> Columns:
    """Raises DataError naming the file, the columns it has and how to choose among them."""
    names = _names(table, (text, label))
    count = len(names) if names else len(table.rows[0].cells)
    if count < 2:
        raise DataError(
            f"{table.path}, line {table.rows[0].line}: only one column; "
            "expected text and label separated by a tab (.tsv) or a comma (.csv)"
        )
    text_column, label_column = (
        _first_known(names, known) if wish == AUTO else _wished(table, role, wish, names, count)
        for role, wish, known in (("text", text, _TEXT_NAMES), ("label", label, _LABEL_NAMES))
    )
    if text_column is None or label_column is None:
        text_column, label_column = _completed(table, text_column, label_column, names, count)
    if text_column == label_column:
        raise DataError(f"{table.path}: text and label cannot both be column {text_column + 1}")
    return Columns(text_column, label_column, int(names is not None and not table.names), count)


def _names(table: Table, wishes: tuple[str, str]) -> list[str] | None:
    """The columns' names, or None where the first row is data."""
    if table.names is not None:
        return list(table.names)
    first = [cell.strip() for cell in table.rows[0].cells]
    if any(wish != AUTO and not wish.isdigit() for wish in wishes):
        return first
    folded = [cell.casefold() for cell in first]
    for index, name in enumerate(folded):
        if name in _TEXT_NAMES or name in _LABEL_NAMES:
            # A class may be called "review"; a heading does not come back as a value.
            below = (row.cells[index : index + 1] for row in table.rows[1:])
            if not any(cells and cells[0].strip().casefold() == name for cells in below):
                return first
    return None


def _wished(table: Table, role: str, wish: str, names: list[str] | None, count: int) -> int:
    if wish.isdigit() and not (names and wish in names):
        if not 1 <= int(wish) <= count:
            raise DataError(
                f"{table.path}, line {table.rows[0].line}: there is no {role} column {wish}; "
                f"the file has {count} columns, counted from 1"
            )
        return int(wish) - 1
    for index, name in enumerate(names or ()):
        if name.casefold() == wish.casefold():
            return index
    raise DataError(
        f"{table.path}, line {table.rows[0].line}: there is no {role} column {wish!r}; "
        f"the columns are {_shown(names or ())}"
    )


def _first_known(names: list[str] | None, known: tuple[str, ...]) -> int | None:
    folded = [name.casefold() for name in names or ()]
    return next((folded.index(name) for name in known if name in folded), None)


def _completed(
    table: Table, text: int | None, label: int | None, names: list[str] | None, count: int
) -> tuple[int, int]:
    """What neither a wish nor a known name decides: possible with two columns only."""
    if count != 2:
        missing = " and the ".join(
            role for role, column in (("text", text), ("label", label)) if column is None
        )
        columns = f"are {_shown(names)}" if names else f"have no names ({count} of them)"
        raise DataError(
            f"{table.path}: cannot tell the {missing} column; the columns {columns}. "
            f"Choose, e.g. --set text_column=1 --set label_column={count}"
        )
    if label is not None:
        return 1 - label, label
    if text is not None:
        return text, 1 - text
    # Labels repeat, texts hardly; in doubt the text comes first.
    distinct = [len({tuple(row.cells[i : i + 1]) for row in table.rows}) for i in (0, 1)]
    return (1, 0) if distinct[0] < distinct[1] else (0, 1)


def _shown(names: Sequence[str]) -> str:
    """For messages: where there is no heading, a "name" may be a whole sentence."""
    return ", ".join(name if len(name) <= 30 else f"{name[:29]}…" for name in names)
