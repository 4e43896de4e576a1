"""Tables of pictures: a CSV (or TSV, or JSON Lines) with the columns path, label and, if wanted, split.

Paths are relative to the table. The heading is optional; without it the columns are path, label, split in
this order. Every mistake names the file and the line.
"""

import hashlib
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from training.data.images import Picture, SplitName
from training.data.labelled_pictures import SPLIT_NAMES, LabelledPictures, load_picture
from training.data.table_files import Row, Table, read_table

_NAMES: Final = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "picture"),
    "label": ("label", "class", "category", "target"),
    "split": ("split", "set", "subset", "part"),
}
_LAYOUT = "expected the columns path,label and, if you like, split"


class ImageTable(LabelledPictures):
    """A table whose rows have been understood and whose files are there."""

    def __init__(self, path: Path, *, is_open: bool = False) -> None:
        table = read_table(path)
        columns = _columns(table)
        pictures: list[Picture] = []
        digest, seen = hashlib.sha256(), dict[Path, int]()
        for row in table.rows[columns.header_rows :]:
            picture, file = _picture(table, row, columns)
            if file in seen:
                raise table.fail(
                    row.line,
                    f"{picture.name} stands in line {seen[file]} already; keep one of them",
                )
            seen[file] = row.line
            pictures.append(picture)
            content = hashlib.sha256(file.read_bytes()).digest()
            digest.update(f"{picture.name}\0{picture.label}\0{picture.split}\0".encode() + content)
        super().__init__(path, pictures, digest.hexdigest(), _LAYOUT, is_open=is_open)


class _Columns(NamedTuple):
    """Indexes from 0; `split` is None where there is no such column. `width`: how many there are."""

    path: int
    label: int
    split: int | None
    width: int
    header_rows: int


def _columns(table: Table) -> _Columns:
    first = [cell.strip().casefold() for cell in table.names or table.rows[0].cells]
    found = {
        role: next((first.index(name) for name in names if name in first), None)
        for role, names in _NAMES.items()
    }
    path, label = found["path"], found["label"]
    if path is not None and label is not None:
        return _Columns(path, label, found["split"], len(first), int(table.names is None))
    if table.names is not None or path is not None or label is not None:
        raise table.fail(
            table.rows[0].line, f"the columns are {', '.join(first)}; {_LAYOUT}, in any order"
        )
    if len(first) not in (2, 3):
        raise table.fail(table.rows[0].line, f"{len(first)} columns without a heading; {_LAYOUT}")
    return _Columns(0, 1, 2 if len(first) == 3 else None, len(first), 0)


def _picture(table: Table, row: Row, columns: _Columns) -> tuple[Picture, Path]:
    if len(row.cells) != columns.width:
        raise table.fail(
            row.line, f"{len(row.cells)} columns where {columns.width} are expected; {_LAYOUT}"
        )
    name, label = row.cells[columns.path].strip(), " ".join(row.cells[columns.label].split())
    if not name or not label:
        raise table.fail(row.line, f"the {'label' if name else 'path'} is empty; fill it in")
    file = table.path.parent / name
    if "\0" in name or not file.is_file():
        raise table.fail(
            row.line, f"{name}: no such file; paths are relative to the folder of {table.path.name}"
        )
    where = f"{table.path}, line {row.line}: {name}"
    load = partial(load_picture, where, file.read_bytes)
    return Picture(_split(table, row, columns), label, name, load), file.resolve()


def _split(table: Table, row: Row, columns: _Columns) -> SplitName:
    if columns.split is None:
        return "train"
    word = row.cells[columns.split].strip().casefold()
    if word not in SPLIT_NAMES:
        raise table.fail(row.line, f"split {word!r} is none of {', '.join(SPLIT_NAMES)}")
    return SPLIT_NAMES[word]
