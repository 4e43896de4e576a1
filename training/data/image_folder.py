"""Image folders: `train/<class>/*` and `test/<class>/*`, or a .tar, .tar.gz or .zip of that.

The splits may lie inside one top folder. Without `train/` the folders are taken for the classes. Without
`test/` a stated, stratified part is held out, or `val/` is what figures come from.
"""

from functools import partial
from pathlib import Path

from training.data.images import Picture
from training.data.labelled_pictures import SPLIT_NAMES, LabelledPictures, load_picture
from training.data.picture_files import SourceFile, SourceFiles, read_source
from training.errors import DataError

_LAYOUT = "expected train/<class>/<picture> and test/<class>/<picture>"


class ImageFolder(LabelledPictures):
    """A folder or archive whose layout has been understood."""

    def __init__(self, path: Path, *, is_open: bool = False) -> None:
        source = read_source(path)
        super().__init__(path, _understand(path, source), source.sha256(), _LAYOUT, is_open=is_open)


def _understand(path: Path, source: SourceFiles) -> list[Picture]:
    if not source.files and not source.folders:
        raise DataError(f"{path}: holds no pictures; {_LAYOUT}")
    top = _depth_of_splits(source)
    has_splits = any(_is_train(parts[top : top + 1]) for parts in source.folders)
    pictures = [_picture(path, file, top, has_splits) for file in source.files]
    _check_folders(path, source, top, has_splits)
    return pictures


def _is_train(parts: tuple[str, ...]) -> bool:
    return len(parts) == 1 and SPLIT_NAMES.get(parts[0]) == "train"


def _depth_of_splits(source: SourceFiles) -> int:
    """0, or 1 where everything lies inside one top folder that is not itself a split."""
    firsts = {parts[0] for parts in source.folders} | {file.parts[0] for file in source.files}
    return 1 if len(firsts) == 1 and not firsts & SPLIT_NAMES.keys() else 0


def _picture(path: Path, file: SourceFile, top: int, has_splits: bool) -> Picture:
    below = file.parts[top:]
    load = partial(load_picture, f"{path}: {file.name}", file.read)
    if has_splits:
        if len(below) != 3 or below[0] not in SPLIT_NAMES:
            raise DataError(f"{path}: {file.name} is not where a picture belongs; {_LAYOUT}")
        return Picture(SPLIT_NAMES[below[0]], below[1], file.name, load)
    if len(below) != 2:
        raise DataError(f"{path}: {file.name} is not where a picture belongs; {_LAYOUT}")
    return Picture("train", below[0], file.name, load)


def _check_folders(path: Path, source: SourceFiles, top: int, has_splits: bool) -> None:
    """Raises DataError for an empty class folder."""
    depth = top + (2 if has_splits else 1)
    filled = {file.parts[:depth] for file in source.files}
    for folder in sorted(source.folders):
        if len(folder) == depth and folder not in filled:
            raise DataError(
                f"{path}: class folder {'/'.join(folder)} is empty; add pictures or remove it"
            )
