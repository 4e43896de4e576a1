"""Files of labelled rows as people keep them: TSV, CSV and JSON Lines, read with their line numbers.

Used by `training.data.text_table`. Which column is what is not decided here. TSV has no quoting, as is
usual for corpora (a quotation mark is a quotation mark); CSV follows RFC 4180, with `,` or `;`.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from training.errors import DataError

SUFFIXES: Final = (".tsv", ".csv", ".jsonl", ".ndjson")
_LONGEST_CELL_CHARACTERS = 10_000_000


class Row(NamedTuple):
    line: int
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """`rows` are never empty. `names` is set where the format itself names columns (JSON Lines)."""

    path: Path
    rows: list[Row]
    names: tuple[str, ...] | None = None

    def fail(self, line: int, complaint: str) -> DataError:
        """The error to raise about a line: names file and line."""
        return DataError(f"{self.path}, line {line}: {complaint}")


def read_table(path: Path) -> Table:
    """All rows, blank lines left out. Raises DataError naming the file, the line and the remedy."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: labelled text is read from {', '.join(SUFFIXES)} files")
    text = _decode(path)
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path, text)
    table = Table(path, list(_tab_separated(text) if suffix == ".tsv" else _comma(path, text)))
    if not table.rows:
        raise DataError(f"{path}: the file has no rows")
    return table


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")  # a byte order mark is no part of the first column's name
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8; convert it, e.g. iconv -f windows-1252 -t utf-8"
        ) from error


def _tab_separated(text: str) -> Iterator[Row]:
    # Not splitlines: it also breaks at the rarer separators that occur inside texts.
    for number, line in enumerate(text.split("\n"), start=1):
        cells = line.rstrip("\r").split("\t")
        if any(cell.strip() for cell in cells):
            yield Row(number, cells)


def _comma(path: Path, text: str) -> Iterator[Row]:
    first = text.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    csv.field_size_limit(_LONGEST_CELL_CHARACTERS)
    lines = (line + "\n" for line in text.replace("\r\n", "\n").split("\n"))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Row(start, cells)
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {start}: not valid CSV ({error}); "
            'put text that holds quotes or line breaks in "…" and double the quotes inside'
        ) from error


def _json_lines(path: Path, text: str) -> Table:
    """Cells in the order of the first object's keys; other objects may have more keys, not fewer."""
    table: Table | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        found = _object(path, number, line)
        if table is None:
            table = Table(path, [], tuple(found))
        assert table.names is not None
        missing = [name for name in table.names if name not in found]
        # A key that only the first line has may be unused; "" is refused later if it is used.
        cells = ["" if name in missing else _cell(found[name]) for name in table.names]
        table.rows.append(Row(number, cells))
    if table is None:
        raise DataError(f"{path}: the file has no rows")
    return table


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise DataError(
            f"{path}, line {number}: not JSON ({reason}); each line holds one whole object"
        ) from error
    if not isinstance(found, dict):
        raise DataError(
            f'{path}, line {number}: not an object; expected {{"text": "…", "label": "…"}}'
        )
    return found


def _cell(value: object) -> str:
    """Numbers and booleans are labels too; lists and objects are neither text nor label."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else ""
