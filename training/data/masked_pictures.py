"""Pictures with masks: `images/NAME.jpg` and `masks/NAME.png`, a class for every pixel.

A mask is a PNG of class numbers (grey or with a palette), 255 where nothing is said; or of colours, where
the names' file tells them. Names come from `labels.txt` or `classes.txt`, one a line in the order of the
numbers, each with its colour behind it (`road 128 64 128`) if masks are in colours. Splits are folders
above or below (`train/images` and `train/masks`, or `images/train` and `masks/train`).

Letters: N pictures, S side of the canvas in pixels, H height and W width of a mask.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.blocks import ImagePreprocessing
from models.transforms.geometry import placement
from models.transforms.image import to_tensor
from training.data.images import SplitName
from training.data.labelled_pictures import SPLIT_NAMES, load_picture, stem_of
from training.data.picture_files import SourceFile, SourceFiles, read_source
from training.errors import DataError

IGNORED = 255
"""The value of pixels that nobody learns from or is judged on."""

Mask = NDArray[np.uint8]
Folder = tuple[str, ...]
Colour = tuple[int, int, int]

_LAYOUT = "expected images/NAME.jpg and masks/NAME.png"
_NAME_FILES = ("labels.txt", "classes.txt")
_COLOUR = re.compile(r"^(.*\S)\s+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})$")
_MOST_CLASSES = IGNORED


@dataclass(frozen=True)
class MaskedPicture:
    """`load` decodes the picture upright, `load_mask` its mask: uint8 [H, W], class numbers or 255."""

    split: SplitName
    name: str
    load: Callable[[], Image.Image]
    load_mask: Callable[[], Mask]


@dataclass(frozen=True)
class MaskSplit:
    """`pixels` uint8 [N, 3, S, S]; `masks` uint8 [N, S, S], 255 outside of the picture."""

    pixels: NDArray[np.uint8]
    masks: Mask

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: NDArray[np.int64]) -> "MaskSplit":
        return MaskSplit(self.pixels[rows], self.masks[rows])

    def joined(self, other: "MaskSplit") -> "MaskSplit":
        return MaskSplit(
            np.concatenate([self.pixels, other.pixels]), np.concatenate([self.masks, other.masks])
        )


@dataclass(frozen=True)
class MaskedPictures:
    """A data set that has been found but not yet decoded."""

    name: str
    class_names: tuple[str, ...]
    pictures: tuple[MaskedPicture, ...]
    sha256: str


@dataclass(frozen=True)
class _Names:
    """Names in the order of the class numbers; `colours` is empty where masks hold numbers."""

    names: tuple[str, ...]
    colours: dict[Colour, int]


def read_masked_pictures(path: Path) -> MaskedPictures:
    """Understand a folder or an archive of one. Raises DataError naming the file."""
    source, root = read_source(path), str(path)
    files = {file.parts: file for file in source.files}
    pairs = list(_pairs(root, files))
    if not pairs:
        raise DataError(f"{path}: there are no pictures in images/; {_LAYOUT}")
    stated = _stated_names(root, source)
    names = stated or _Names(_numbered(root, [mask for _, mask in pairs]), {})
    pictures = []
    for image, mask in pairs:
        pictures.append(
            MaskedPicture(
                split=_split_of(image.parts),
                name=f"{root}: {image.name}",
                load=partial(load_picture, f"{root}: {image.name}", image.read),
                load_mask=partial(_class_numbers, f"{root}: {mask.name}", mask, names),
            )
        )
    if len(names.names) < 2:
        raise DataError(f"{path}: {len(names.names)} class found, at least 2 are needed")
    return MaskedPictures(stem_of(path), names.names, tuple(pictures), source.sha256())


def collect_masks(pictures: Iterable[MaskedPicture], block: ImagePreprocessing) -> MaskSplit:
    """Decode and place every pair. Raises DataError naming the file."""
    raw = block.model_copy(update={"scale": 1.0, "mean": (0.0,), "std": (1.0,)})
    pixels, masks = [], []
    for picture in pictures:
        image, mask = picture.load(), picture.load_mask()
        if mask.shape != (image.height, image.width):
            raise DataError(
                f"{picture.name}: {image.width}×{image.height} pixels (upright), but its mask has "
                f"{mask.shape[1]}×{mask.shape[0]}; make them alike"
            )
        pixels.append(to_tensor(image, raw).astype(np.uint8))
        masks.append(placement(image.size, raw).place_mask(mask, IGNORED))
    return MaskSplit(np.stack(pixels), np.stack(masks))


def _pairs(root: str, files: dict[Folder, SourceFile]) -> Iterator[tuple[SourceFile, SourceFile]]:
    masks = {
        (*parts[:-1], _stem(parts[-1])): file
        for parts, file in files.items()
        if "masks" in parts[:-1]
    }
    for parts, file in files.items():
        if "images" not in parts[:-1]:
            continue
        at = max(index for index, part in enumerate(parts[:-1]) if part == "images")
        wanted = (*parts[:at], "masks", *parts[at + 1 : -1], _stem(parts[-1]))
        mask = masks.pop(wanted, None)
        if mask is None:
            raise DataError(f"{root}: {file.name} has no mask {'/'.join(wanted)}.png; {_LAYOUT}")
        yield file, mask
    for mask in masks.values():
        raise DataError(
            f"{root}: {mask.name} belongs to no picture in images/; add it or remove the mask"
        )


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _split_of(parts: Folder) -> SplitName:
    for part in reversed(parts[:-1]):
        if part.lower() in SPLIT_NAMES:
            return SPLIT_NAMES[part.lower()]
    return "train"


def _stated_names(root: str, source: SourceFiles) -> _Names | None:
    for file in sorted(source.files, key=lambda file: len(file.parts)):
        if len(file.parts) <= 2 and file.parts[-1].lower() in _NAME_FILES:
            return _parse_names(f"{root}: {file.name}", file.read())
    return None


def _parse_names(where: str, data: bytes) -> _Names:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 (byte {error.start})") from error
    names: list[str] = []
    colours: dict[Colour, int] = {}
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        match = _COLOUR.match(line.strip())
        name = match[1] if match else line.strip()
        if not name or not name.isprintable() or name in names:
            raise DataError(f"{where}, line {number}: needs a printable name of its own")
        if match:
            colour = int(match[2]), int(match[3]), int(match[4])
            if max(colour) > 255 or colour in colours:
                raise DataError(f"{where}, line {number}: needs a colour of its own, 0 to 255 each")
            colours[colour] = len(names)
        names.append(name)
    if len(names) > _MOST_CLASSES:
        raise DataError(f"{where}: {len(names)} classes; at most {_MOST_CLASSES} fit into a mask")
    if colours and len(colours) < len(names):
        raise DataError(f"{where}: some names have a colour and some have none")
    return _Names(tuple(names), colours)


def _numbered(root: str, masks: list[SourceFile]) -> tuple[str, ...]:
    """Without names, the numbers that occur, from 0 to the highest."""
    most = 0
    for file in masks:
        levels = _levels(f"{root}: {file.name}", file)
        if levels.ndim == 3:
            raise DataError(
                f"{root}: {file.name} is in colours; name them in labels.txt, e.g. `road 128 64 128`"
            )
        most = max(most, int(levels[levels != IGNORED].max(initial=0)))
    return tuple(str(number) for number in range(most + 1))


def _class_numbers(where: str, file: SourceFile, names: _Names) -> Mask:
    levels = _levels(where, file)
    if levels.ndim == 3:
        return _of_colours(where, levels, names.colours)
    wrong = (levels >= len(names.names)) & (levels != IGNORED)
    if wrong.any():
        row, column = (int(axis[0]) for axis in np.nonzero(wrong))
        raise DataError(
            f"{where}: class {levels[row, column]} at x {column}, y {row}, but there are "
            f"{len(names.names)} classes, from 0 (and {IGNORED} for nothing)"
        )
    return levels


def _of_colours(where: str, levels: Mask, colours: dict[Colour, int]) -> Mask:
    if not colours:
        raise DataError(f"{where}: is in colours; name them in labels.txt, e.g. `road 128 64 128`")
    packed = levels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    mask = np.full(packed.shape, IGNORED, dtype=np.uint8)
    known = np.zeros(packed.shape, dtype=bool)
    for (red, green, blue), number in colours.items():
        is_this = packed == (red << 16 | green << 8 | blue)
        mask[is_this], known = number, known | is_this
    if not known.all():
        row, column = (int(axis[0]) for axis in np.nonzero(~known))
        raise DataError(
            f"{where}: colour {tuple(levels[row, column].tolist())} at x {column}, y {row} is no "
            "class's; add it to the names"
        )
    return mask


def _levels(where: str, file: SourceFile) -> Mask:
    """uint8 [H, W] of numbers, or [H, W, 3] of colours; a palette's numbers are taken, not its colours."""
    try:
        image = Image.open(io.BytesIO(file.read()), formats=("PNG",))
        if image.mode in ("L", "P", "1"):
            return np.asarray(image).astype(np.uint8)
        if image.mode.startswith("I"):
            levels = np.asarray(image)
            if levels.max(initial=0) > IGNORED:
                raise DataError(f"{where}: class numbers must be below 256")
            return levels.astype(np.uint8)
        if image.mode in ("RGB", "RGBA"):
            return np.asarray(image.convert("RGB"))
    except DataError:
        raise
    except Exception as error:  # Pillow raises any kind; the person is told one
        raise DataError(f"{where}: not a PNG that can be read; masks must be whole PNGs") from error
    raise DataError(f"{where}: a mask of mode {image.mode}; use grey, a palette or RGB")
