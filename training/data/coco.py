"""COCO's JSON of object annotations, beside its pictures.

Files: one a split, told by their names (`instances_train2017.json`, `val.json`) or their folders'
(`test/_annotations.coco.json`); a single one is for training. A picture lies beside its file, in a
folder of its split's name, or in `images/`. Boxes are [x, y, width, height] in pixels; crowds are kept
as regions to be left alone; masks and key points are not read.
Format: https://cocodataset.org/#format-data
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from training.data.boxed_pictures import Annotation, BoxedPicture
from training.data.images import SplitName
from training.data.labelled_pictures import SPLIT_NAMES, load_picture
from training.data.picture_files import SourceFile
from training.errors import DataError

Folder = tuple[str, ...]

_MOST_PIXELS = 1e9


class CocoFile:
    """One annotation file. `files` are all files of the data set by their parts."""

    def __init__(
        self, root: str, file: SourceFile, split: SplitName, files: dict[Folder, SourceFile]
    ) -> None:
        self.where, self.split = f"{root}: {file.name}", split
        self._root, self._files, self._folder = root, files, file.parts[:-1]
        self._stem = file.parts[-1].rpartition(".")[0]
        self._document = _parse(self.where, file.read())
        self.categories = self._categories()

    def pictures(self, class_names: tuple[str, ...]) -> list[BoxedPicture]:
        """Every picture, also those without any box. Raises DataError naming the entry."""
        order = {name: number for number, name in enumerate(class_names)}
        labels = {key: order[name] for key, name in self.categories.items() if name in order}
        entries = {self._image_id(at, entry): entry for at, entry in self._rows("images")}
        if len(entries) < len(self._document["images"]):
            raise DataError(f"{self.where}: two images have the same id; give each its own")
        found: dict[Any, list[Annotation]] = {key: [] for key in entries}
        for at, row in self._rows("annotations"):
            where = self._of("annotation", at, row)
            image, category = _key(row.get("image_id")), _key(row.get("category_id"))
            if image not in found:
                raise DataError(f"{where}: image_id {row.get('image_id')!r} is no image's id")
            if category not in self.categories:
                raise DataError(
                    f"{where}: category_id {row.get('category_id')!r} is no category's id"
                )
            if category not in labels:
                raise DataError(
                    f"{where}: there is no box of {self.categories[category]!r} to learn from; add "
                    "some to the training file or remove this one"
                )
            box, is_crowd = _box(where, row.get("bbox")), bool(row.get("iscrowd", 0))
            found[image].append(Annotation(box, labels[category], where, is_crowd))
        return [
            self._picture(at, entry, tuple(found[entry["id"]]))
            for at, entry in self._rows("images")
        ]

    def named_classes(self) -> set[str]:
        """Names of the categories that have a box."""
        used = {_key(row.get("category_id")) for _, row in self._rows("annotations")}
        return {name for key, name in self.categories.items() if key in used}

    def _categories(self) -> dict[Any, str]:
        names: dict[Any, str] = {}
        for at, row in self._rows("categories"):
            where, name = self._of("category", at, row), row.get("name")
            if not isinstance(name, str) or not name.strip() or not name.isprintable():
                raise DataError(f"{where}: needs a printable name, not {name!r}")
            if _key(row.get("id")) is None or row["id"] in names:
                raise DataError(f"{where}: needs an id of its own, not {row.get('id')!r}")
            if name.strip() in names.values():
                raise DataError(f"{where}: there is another category named {name.strip()!r}")
            names[row["id"]] = name.strip()
        return names

    def _rows(self, member: str) -> Iterator[tuple[int, dict[str, Any]]]:
        rows = self._document.get(member)
        if not isinstance(rows, list):
            raise DataError(
                f"{self.where}: has no list {member!r}; COCO's object format is expected"
            )
        for at, row in enumerate(rows):
            if not isinstance(row, dict):
                raise DataError(f"{self.where}: {member}[{at}] is no object")
            yield at, row

    def _image_id(self, at: int, entry: dict[str, Any]) -> int | str:
        key = _key(entry.get("id"))
        if key is None:
            raise DataError(f"{self._of('image', at, entry)}: needs an id, not {entry.get('id')!r}")
        return key

    def _picture(
        self, at: int, entry: dict[str, Any], annotations: tuple[Annotation, ...]
    ) -> BoxedPicture:
        where, name = self._of("image", at, entry), entry.get("file_name")
        file = self._find(where, name)
        load = partial(load_picture, f"{self._root}: {file.name}", file.read)
        size = (entry.get("width"), entry.get("height"))
        claimed = (
            (size[0], size[1]) if isinstance(size[0], int) and isinstance(size[1], int) else None
        )
        return BoxedPicture(self.split, f"{where} ({file.name})", load, annotations, claimed)

    def _find(self, where: str, name: object) -> SourceFile:
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: needs a file_name, not {name!r}")
        parts = tuple(part for part in re.split(r"[/\\]", name) if part not in ("", "."))
        if ".." in parts or not parts:
            raise DataError(f"{where}: file_name {name!r} points outside of the data")
        for folder in self._folders():
            for below in (parts, parts[-1:]):
                if (*folder, *below) in self._files:
                    return self._files[*folder, *below]
        looked = ", ".join("/".join(folder) or "." for folder in self._folders())
        raise DataError(f"{where}: there is no picture {name!r}; looked in {looked}")

    def _folders(self) -> Iterator[Folder]:
        """Where a picture may be, likeliest first."""
        here, above = self._folder, self._folder[:-1]
        tokens = [token for token in re.split(r"[^A-Za-z0-9]+", self._stem) if token]
        names = [name for name in tokens if name.lower() not in ("instances", "annotations")]
        for base in dict.fromkeys((here, above)):
            yield base
            yield (*base, "images")
            for name in names:
                yield (*base, name)
                yield (*base, "images", name)

    def _of(self, kind: str, at: int, row: dict[str, Any]) -> str:
        key = f", id {row['id']!r}" if "id" in row else ""
        return f"{self.where}: {kind} {at}{key}"


def split_of(file: SourceFile) -> SplitName:
    """By the file's name or its folder's; training where neither says anything."""
    for part in reversed(file.parts):
        for token in re.split(r"[^a-z]+", part.lower()):
            if token in SPLIT_NAMES:
                return SPLIT_NAMES[token]
    return "train"


def _parse(where: str, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, line {error.lineno}: no valid JSON: {error.msg}") from error
    except ValueError as error:
        raise DataError(f"{where}: a number has too many digits") from error
    except RecursionError as error:
        raise DataError(f"{where}: no annotations are nested as deeply as this") from error
    if not isinstance(document, dict):
        raise DataError(f"{where}: must be a JSON object with images, annotations and categories")
    return document


def _key(value: object) -> int | str | None:
    """An id, or None where it cannot be one."""
    return value if isinstance(value, int | str) else None


def _box(where: str, value: object) -> tuple[float, float, float, float]:
    """Corners from [x, y, width, height]."""
    numbers = [
        float(part)
        for part in (value if isinstance(value, list) else ())
        if type(part) in (int, float) and abs(part) < _MOST_PIXELS  # neither NaN nor infinite
    ]
    if not isinstance(value, list) or len(value) != 4 or len(numbers) != 4:
        shown = f"{value!r}"[:80]
        raise DataError(f"{where}: bbox must be four numbers [x, y, width, height], not {shown}")
    x, y, width, height = numbers
    if width < 0 or height < 0:
        raise DataError(f"{where}: bbox {value!r} has a negative width or height")
    return x, y, x + width, y + height
