"""Good pictures and, for judging, bad ones: the folders of visual inspection, or an archive of them.

Three layouts are read: pictures alone (all of them good); `good/` beside folders that are each called after
what is wrong; and MVTec's, `train/good/`, `test/good/`, `test/<defect>/`, where masks of what is wrong may
lie in `ground_truth/<defect>/NAME_mask.png` (P. Bergmann et al. 2019). Bad pictures are never learned from.

Letters: S side of the canvas in pixels, N pictures, H height and W width of a mask.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.blocks import ImagePreprocessing
from models.transforms.geometry import placement
from models.transforms.image import to_tensor
from training.data.images import SplitName
from training.data.labelled_pictures import SPLIT_NAMES, load_picture, stem_of
from training.data.picture_files import SourceFile, read_source
from training.errors import DataError

GOOD = "good"

_GOOD_NAMES = frozenset({GOOD, "ok", "normal"})
_MASKS = "ground_truth"
# Files that data sets bring along; anything else that is no picture is refused.
_NOTES = frozenset({"readme", "license", "licence"})
_NOTE_SUFFIXES = frozenset({"", ".txt", ".md", ".html", ".pdf"})
_LAYOUT = (
    "expected pictures, or good/ and folders of defects, or train/good/, test/good/, test/<defect>/"
)
_MASK_WHITE = 128  # of 255

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class InspectedPicture:
    """`kind` is GOOD or what is wrong. `load_mask` decodes what is wrong, bool [H, W]; None: not known."""

    split: SplitName
    kind: str
    name: str
    load: Callable[[], Image.Image]
    load_mask: Callable[[], Mask] | None = None


@dataclass(frozen=True)
class InspectedPictures:
    """Found, but not yet decoded."""

    name: str
    pictures: tuple[InspectedPicture, ...]
    sha256: str


@dataclass(frozen=True)
class InspectedSplit:
    """`pixels` uint8 [N, 3, S, S]; `kinds` N; `masks` bool [N, S, S] where all of them are known."""

    pixels: NDArray[np.uint8]
    kinds: tuple[str, ...]
    masks: Mask | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def is_bad(self) -> Mask:
        """bool [N]."""
        return np.array([kind != GOOD for kind in self.kinds], dtype=bool)


def read_inspected_pictures(path: Path) -> InspectedPictures:
    """Understand a folder or an archive of one. Raises DataError naming the file."""
    source = read_source(path)
    files = _below_the_top([file for file in source.files if not _is_note(file)])
    masks = {parts[1:]: file for parts, file in files.items() if parts[0] == _MASKS}
    has_splits = any(parts[0] in SPLIT_NAMES for parts in files if len(parts) > 1)
    pictures = [
        _picture(str(path), parts, file, masks, has_splits=has_splits)
        for parts, file in files.items()
        if parts[0] != _MASKS
    ]
    if not any(picture.kind == GOOD for picture in pictures):
        raise DataError(f"{path}: holds no good pictures; {_LAYOUT}")
    for file in masks.values():
        raise DataError(f"{path}: {file.name} is the mask of no bad picture; remove it")
    return InspectedPictures(stem_of(path), tuple(pictures), source.sha256())


def collect_inspected(
    pictures: Iterable[InspectedPicture], block: ImagePreprocessing
) -> InspectedSplit:
    """Decode and place. Raises DataError naming the file."""
    raw = block.model_copy(update={"scale": 1.0, "mean": (0.0,), "std": (1.0,)})
    pixels, kinds, masks = [], [], []
    for picture in pictures:
        image = picture.load()
        pixels.append(to_tensor(image, raw).astype(np.uint8))
        kinds.append(picture.kind)
        mask = np.zeros((image.height, image.width), dtype=np.uint8)
        if picture.load_mask is not None:
            mask = picture.load_mask().astype(np.uint8)
        if mask.shape != (image.height, image.width):
            raise DataError(
                f"{picture.name}: {image.width}×{image.height} pixels (upright), but its mask has "
                f"{mask.shape[1]}×{mask.shape[0]}; make them alike"
            )
        is_known = picture.kind == GOOD or picture.load_mask is not None
        masks.append(placement(image.size, raw).place_mask(mask, 0) > 0 if is_known else None)
    known = [mask for mask in masks if mask is not None]
    # A picture whose mask is missing would count every pixel of its defect as good.
    whole = np.stack(known) if known and len(known) == len(masks) else None
    empty = np.zeros((0, 3, block.height, block.width), dtype=np.uint8)
    return InspectedSplit(np.stack(pixels) if pixels else empty, tuple(kinds), whole)


def _below_the_top(files: list[SourceFile]) -> dict[tuple[str, ...], SourceFile]:
    """Folders and name of each file, below the one folder that everything may lie in."""
    firsts = {file.parts[0] for file in files}
    is_named = firsts & {*SPLIT_NAMES, *_GOOD_NAMES, _MASKS}
    depth = int(len(firsts) == 1 and not is_named and all(len(file.parts) > 1 for file in files))
    return {file.parts[depth:]: file for file in files}


def _is_note(file: SourceFile) -> bool:
    name = PurePosixPath(file.parts[-1].lower())
    return name.stem in _NOTES and name.suffix in _NOTE_SUFFIXES


def _picture(
    root: str,
    parts: tuple[str, ...],
    file: SourceFile,
    masks: dict[tuple[str, ...], SourceFile],
    *,
    has_splits: bool,
) -> InspectedPicture:
    split: SplitName = "train"
    folders = parts[:-1]
    if has_splits:
        if not folders or folders[0] not in SPLIT_NAMES:
            raise DataError(f"{root}: {file.name} is not where a picture belongs; {_LAYOUT}")
        split, folders = SPLIT_NAMES[folders[0]], folders[1:]
    if len(folders) > 1 or (has_splits and not folders and split == "test"):
        raise DataError(f"{root}: {file.name} is not where a picture belongs; {_LAYOUT}")
    kind = GOOD if not folders or folders[0].lower() in _GOOD_NAMES else folders[0]
    if not kind.isprintable():
        raise DataError(f"{root}: folder {kind!r} needs a printable name")
    if kind != GOOD and has_splits and split != "test":
        raise DataError(
            f"{root}: {file.name}: {parts[0]}/ may hold good pictures only; put bad ones into test/"
        )
    where = f"{root}: {file.name}"
    return InspectedPicture(
        split="test" if kind != GOOD else split,
        kind=kind,
        name=where,
        load=partial(load_picture, where, file.read),
        load_mask=_mask_of(root, (kind, parts[-1]), masks) if kind != GOOD else None,
    )


def _mask_of(
    root: str, picture: tuple[str, str], masks: dict[tuple[str, ...], SourceFile]
) -> Callable[[], Mask] | None:
    """Takes the picture's mask out of `masks`, so that what is left belongs to nobody."""
    kind, stem = picture[0], PurePosixPath(picture[1]).stem
    for parts in [*masks]:
        if parts[:-1] == (kind,) and PurePosixPath(parts[-1]).stem in (stem, f"{stem}_mask"):
            file = masks.pop(parts)
            return partial(_white, f"{root}: {file.name}", file)
    return None


def _white(where: str, file: SourceFile) -> Mask:
    white: Mask = np.asarray(load_picture(where, file.read).convert("L")) >= _MASK_WHITE
    return white


def count_kinds(kinds: Iterable[str]) -> Mapping[str, int]:
    """Kind → pictures, the good ones first."""
    listed = list(kinds)
    order = sorted(set(listed), key=lambda kind: (kind != GOOD, kind))
    return {kind: listed.count(kind) for kind in order}
