"""Which file of a folder is which split, by its name; for data sets of several files.

Used by readers whose files have no other fixed names: `train.conll`, `dev.json`, `eng.testb`,
`train-v2.0.json`.
"""

import re
from pathlib import Path
from typing import Final

from training.errors import DataError

_NAMES: Final = {
    "train": ("train", "training"),
    "validation": ("dev", "devel", "val", "valid", "validation", "testa"),
    "test": ("test", "testing", "testb"),
}


def split_files(data: Path) -> dict[str, Path]:
    """Split → file; `data` is one file (all of it is for training) or a folder with a training file.

    Raises DataError naming the folder.
    """
    if data.is_file():
        return {"train": data}
    if not data.is_dir():
        raise DataError(f"--data {data}: no such file or folder")
    files = sorted(file for file in data.iterdir() if file.is_file() and file.name[0] != ".")
    found: dict[str, Path] = {}
    for split in _NAMES:
        mine = [file for file in files if split_of(file.name) == split]
        if len(mine) > 1:
            raise DataError(f"{data}: both {mine[0].name} and {mine[1].name}; keep one of them")
        if mine:
            found[split] = mine[0]
    if "train" not in found:
        raise DataError(
            f"{data}: no training file; expected a file named train.* and, if you have them, "
            "dev.* (or valid.*) and test.*"
        )
    return found


def split_of(name: str) -> str | None:
    """The split that a file's name says, if any."""
    words = set(re.split(r"[._-]", name.lower()))
    return next((split for split, names in _NAMES.items() if words & set(names)), None)


def read_utf8(path: Path) -> str:
    """The file's text. Raises DataError naming the file and the line that is no UTF-8."""
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")  # a byte order mark is no part of the first word
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8; convert it, e.g. iconv -f windows-1252 -t utf-8"
        ) from error
