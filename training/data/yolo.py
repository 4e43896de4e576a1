"""YOLO's text files of boxes: `labels/<picture>.txt` for `images/<picture>`, a line a box.

A line is `class x_centre y_centre width height`, the last four as parts of the picture's sides. A picture
without a file, or with an empty one, has no objects. Splits are folders above or below `images/`
(`train/images`, `images/train`) or lists of pictures (`train.txt`, `val.txt`, `test.txt`). Names come from
`classes.txt` (or `labels.txt`, `obj.names`), one a line, or from `names` in `data.yaml`.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import yaml  # type: ignore[import-untyped]

from training.data.boxed_pictures import Annotation, BoxedPicture
from training.data.images import SplitName
from training.data.labelled_pictures import SPLIT_NAMES, load_picture
from training.data.picture_files import SourceFile, SourceFiles
from training.errors import DataError

Folder = tuple[str, ...]

_PICTURES, _LABELS = "images", "labels"
_NAME_FILES = ("classes.txt", "labels.txt", "obj.names")
_LIST_FILES = tuple(f"{name}.txt" for name in SPLIT_NAMES)
_BEYOND = 1e-3  # what annotation tools round over the edge


class YoloFolder:
    """A data set in this layout, understood but not decoded."""

    def __init__(self, root: str, source: SourceFiles) -> None:
        self._root = root
        self._files = {file.parts: file for file in source.files}
        self._used: set[Folder] = set()
        self.pictures = tuple(self._pictures())
        if not self.pictures:
            raise DataError(f"{root}: there are no pictures in {_PICTURES}/")
        self._refuse_orphans()
        self.class_names = self._names()
        self._check_labels()

    def _pictures(self) -> Iterator[BoxedPicture]:
        listed = dict(self._listed())
        for parts, file in self._files.items():
            if _PICTURES not in parts[:-1]:
                continue
            split = listed.get(parts) if listed else _split_of(parts)
            if split is None:
                continue  # in none of the lists
            load = partial(load_picture, f"{self._root}: {file.name}", file.read)
            name = f"{self._root}: {file.name}"
            yield BoxedPicture(split, name, load, tuple(self._annotations(parts)))

    def _annotations(self, picture: Folder) -> Iterator[Annotation]:
        file = self._files.get(_label_file(picture))
        if file is None:
            return
        self._used.add(file.parts)
        for number, line in enumerate(self._lines(file), start=1):
            if line.split():
                yield _annotation(f"{self._root}: {file.name}, line {number}", line.split())

    def _listed(self) -> Iterator[tuple[Folder, SplitName]]:
        """Pictures named by train.txt and its like at the top, or one folder below."""
        for parts, file in self._files.items():
            if parts[-1].lower() not in _LIST_FILES or len(parts) > 2 or _LABELS in parts[:-1]:
                continue
            split = SPLIT_NAMES[parts[-1].lower().removesuffix(".txt")]
            for number, line in enumerate(self._lines(file), start=1):
                if line.strip():
                    where = f"{self._root}: {file.name}, line {number}"
                    yield self._find(where, parts[:-1], line.strip()), split

    def _find(self, where: str, folder: Folder, name: str) -> Folder:
        """A listed picture; lists often name folders of the machine that wrote them."""
        parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
        for start in range(len(parts)):
            for base in dict.fromkeys((folder, ())):
                if (*base, *parts[start:]) in self._files:
                    return (*base, *parts[start:])
        raise DataError(f"{where}: there is no picture {name!r}")

    def _refuse_orphans(self) -> None:
        """A label file without a picture is a typing error in a name, more often than not."""
        expected = {_label_file(parts) for parts in self._files if _PICTURES in parts[:-1]}
        for parts, file in self._files.items():
            is_label = _LABELS in parts[:-1] and parts[-1].endswith(".txt")
            if is_label and parts not in expected and parts[-1] not in _NAME_FILES:
                raise DataError(
                    f"{self._root}: {file.name} belongs to no picture in {_PICTURES}/; add the picture "
                    "or remove the file"
                )

    def _names(self) -> tuple[str, ...]:
        """What the data say, else the numbers."""
        for parts, file in sorted(self._files.items(), key=lambda entry: len(entry[0])):
            if len(parts) > 2:
                break
            if parts[-1] in _NAME_FILES:
                names = [line.strip() for line in self._lines(file)]
                while names and not names[-1]:
                    names.pop()
                return self._checked(file, names)
            if parts[-1].endswith((".yaml", ".yml")):
                found = self._yaml_names(file)
                if found is not None:
                    return self._checked(file, found)
        most = max((one.label for one in self._all()), default=-1)
        return tuple(str(number) for number in range(most + 1))

    def _yaml_names(self, file: SourceFile) -> list[str] | None:
        where = f"{self._root}: {file.name}"
        try:
            document: Any = yaml.safe_load(file.read())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            raise DataError(f"{where}{line}: no valid YAML") from error
        names = document.get("names") if isinstance(document, dict) else None
        if isinstance(names, dict):
            if sorted(names) != list(range(len(names))):
                raise DataError(f"{where}: names must be numbered 0, 1, 2, … without gaps")
            names = [names[number] for number in range(len(names))]
        if names is not None and not isinstance(names, list):
            raise DataError(f"{where}: names must be a list or a table of numbers and names")
        return None if names is None else [str(name) for name in names]

    def _checked(self, file: SourceFile, names: list[str]) -> tuple[str, ...]:
        for number, name in enumerate(names, start=1):
            if not name or not name.isprintable():
                raise DataError(
                    f"{self._root}: {file.name}: name {number} needs printable characters"
                )
            if names.index(name) != number - 1:
                raise DataError(f"{self._root}: {file.name}: the name {name!r} stands twice")
        return tuple(names)

    def _check_labels(self) -> None:
        for annotation in self._all():
            if annotation.label >= len(self.class_names):
                raise DataError(
                    f"{annotation.where}: class {annotation.label}, but there are names for "
                    f"{len(self.class_names)} classes, from 0"
                )

    def _all(self) -> Iterator[Annotation]:
        return (one for picture in self.pictures for one in picture.annotations)

    def _lines(self, file: SourceFile) -> list[str]:
        try:
            return file.read().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{self._root}: {file.name}: not UTF-8 (byte {error.start})") from error


def _label_file(picture: Folder) -> Folder:
    """The last folder called `images` becomes `labels`."""
    at = max(index for index, part in enumerate(picture[:-1]) if part == _PICTURES)
    stem = picture[-1].rpartition(".")[0] or picture[-1]
    return (*picture[:at], _LABELS, *picture[at + 1 : -1], f"{stem}.txt")


def _split_of(picture: Folder) -> SplitName:
    for part in reversed(picture[:-1]):
        if part.lower() in SPLIT_NAMES:
            return SPLIT_NAMES[part.lower()]
    return "train"


def _annotation(where: str, cells: list[str]) -> Annotation:
    if len(cells) != 5:
        what = "an outline" if len(cells) > 6 and len(cells) % 2 else f"{len(cells)} values"
        raise DataError(
            f"{where}: {what}; a box is a class and four numbers: x_centre y_centre width height"
        )
    try:
        label, numbers = int(cells[0]), [float(cell) for cell in cells[1:]]
    except ValueError as error:
        raise DataError(f"{where}: {' '.join(cells)!r} are not five numbers") from error
    if label < 0 or not all(math.isfinite(number) for number in numbers):
        raise DataError(f"{where}: {' '.join(cells)!r} are not a class and four numbers")
    if not all(-_BEYOND <= number <= 1 + _BEYOND for number in numbers):
        raise DataError(
            f"{where}: {' '.join(cells[1:])!r} must be parts of the picture's sides, 0 to 1"
        )
    x, y, width, height = numbers
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Annotation(box, label, where, is_relative=True)
