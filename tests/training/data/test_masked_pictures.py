from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.blocks import ImagePreprocessing
from tests.training.data.boxed_files import mask, picture
from training.data.masked_pictures import IGNORED, collect_masks, read_masked_pictures
from training.errors import DataError

BLOCK = ImagePreprocessing(input="image", height=40, width=40, fit="pad")
LEFT_AND_RIGHT = np.repeat([[0] * 20 + [1] * 20], 20, axis=0)


def write(root: Path, levels: Any = LEFT_AND_RIGHT, names: str | None = "road\nsky\n") -> Path:
    for row in range(3):
        picture(root / "images" / f"a{row}.jpg")
        mask(root / "masks" / f"a{row}.png", levels)
    if names is not None:
        (root / "labels.txt").write_text(names)
    return root


def test_a_mask_lies_on_the_canvas_where_its_picture_lies(tmp_path: Path) -> None:
    found = read_masked_pictures(write(tmp_path))
    assert found.class_names == ("road", "sky")
    split = collect_masks(found.pictures, BLOCK)
    assert split.pixels.shape == (3, 3, 40, 40)
    assert (split.masks[0, :10] == IGNORED).all()
    assert (split.masks[0, 30:] == IGNORED).all()
    assert (split.masks[0, 10:30, :20] == 0).all()
    assert (split.masks[0, 10:30, 20:] == 1).all()


def test_the_numbers_of_a_palette_count_not_its_colours(tmp_path: Path) -> None:
    write(tmp_path)
    image = Image.fromarray(LEFT_AND_RIGHT.astype(np.uint8))
    image.putpalette([200, 100, 0, 7, 7, 7])
    image.save(tmp_path / "masks" / "a0.png")
    masks = collect_masks(read_masked_pictures(tmp_path).pictures, BLOCK).masks
    assert np.array_equal(masks[0], masks[1])


def test_colours_are_classes_where_the_names_say_so(tmp_path: Path) -> None:
    colours = np.array([[128, 64, 128], [70, 130, 180]], dtype=np.uint8)[LEFT_AND_RIGHT]
    write(tmp_path, colours, "road 128 64 128\nsky 70,130,180\n")
    found = read_masked_pictures(tmp_path)
    assert found.class_names == ("road", "sky")
    masks = collect_masks(found.pictures, BLOCK).masks
    assert set(np.unique(masks)) == {0, 1, IGNORED}
    (tmp_path / "labels.txt").write_text("road 128 64 128\nsky 1 2 3\n")
    with pytest.raises(DataError, match=r"masks/a0\.png: colour \(70, 130, 180\) at x 20, y 0 is"):
        collect_masks(read_masked_pictures(tmp_path).pictures, BLOCK)


def test_without_names_classes_are_numbers_and_255_is_nothing(tmp_path: Path) -> None:
    levels = LEFT_AND_RIGHT.copy()
    levels[0] = IGNORED
    levels[1] = 4
    found = read_masked_pictures(write(tmp_path, levels, names=None))
    assert found.class_names == ("0", "1", "2", "3", "4")
    assert (collect_masks(found.pictures, BLOCK).masks[0, 10] == IGNORED).all()


@pytest.mark.parametrize("layout", ["{split}/{kind}/a", "{kind}/{split}/a"])
def test_splits_are_folders_above_or_below(tmp_path: Path, layout: str) -> None:
    for split in ("train", "val", "test"):
        picture(tmp_path / (layout.format(split=split, kind="images") + ".jpg"))
        mask(tmp_path / (layout.format(split=split, kind="masks") + ".png"), LEFT_AND_RIGHT)
    splits = [one.split for one in read_masked_pictures(tmp_path).pictures]
    assert sorted(splits) == ["test", "train", "validation"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "masks/a1.png").unlink(), r"images/a1\.jpg has no mask masks/a1"),
        (lambda root: (root / "images/a1.jpg").unlink(), r"masks/a1\.png belongs to no picture"),
        (lambda root: mask(root / "masks/a1.png", [[0, 3]]), r"masks/a1\.png: class 3 at x 1, y 0"),
        (lambda root: mask(root / "masks/a1.png", [[0, 1]]), r"a1\.jpg: 40×20 .* mask has 2×1"),
        (lambda root: (root / "masks/a1.png").write_bytes(b"?"), r"masks/a1\.png: not a PNG"),
        (lambda root: picture(root / "images/a1.jpg", orientation=6), r"a1\.jpg: 20×40 pixels"),
        (
            lambda root: mask(root / "masks/a1.png", np.zeros((20, 40, 3))),
            r"a1\.png: is in colours",
        ),
        (lambda root: (root / "labels.txt").write_text("a\n\nb"), r"labels\.txt, line 2: needs a"),
        (lambda root: (root / "labels.txt").write_text("a\na"), r"labels\.txt, line 2: needs a"),
        (lambda root: (root / "labels.txt").write_text("a 1 2 300\nb"), r"line 1: needs a colour"),
        (lambda root: (root / "labels.txt").write_text("a 1 2 3\nb"), r"labels\.txt: some names"),
        (lambda root: (root / "labels.txt").write_text("a"), r"1 class found, at least 2"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, change: Any, message: str) -> None:
    write(tmp_path)
    change(tmp_path)
    with pytest.raises(DataError, match=message):
        collect_masks(read_masked_pictures(tmp_path).pictures, BLOCK)


def test_a_folder_without_pairs_is_refused_with_the_layout(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"no pictures in images/; expected images/NAME\.jpg"):
        read_masked_pictures(tmp_path)
