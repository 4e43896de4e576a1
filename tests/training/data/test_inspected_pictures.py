"""The layouts of inspection: which picture is good, where it belongs, and what is said of a mistake."""

import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.blocks import ImagePreprocessing
from tests.training.data.boxed_files import mask, picture
from training.data.inspected_pictures import (
    GOOD,
    InspectedPictures,
    collect_inspected,
    count_kinds,
    read_inspected_pictures,
)
from training.errors import DataError

BLOCK = ImagePreprocessing(input="image", height=40, width=40, fit="stretch")
RIGHT_HALF = np.repeat([[0] * 20 + [255] * 20], 20, axis=0)


def mvtec(root: Path) -> Path:
    """Three good pictures to learn from, two and two scratched ones to be judged on, one mask missing."""
    for row in range(3):
        picture(root / f"train/good/{row:03}.png")
    for row in range(2):
        picture(root / f"test/good/{row:03}.png")
        picture(root / f"test/scratch/{row:03}.png")
        mask(root / f"ground_truth/scratch/{row:03}_mask.png", RIGHT_HALF)
    return root


def placed(found: InspectedPictures) -> Counter[tuple[str, str]]:
    return Counter((one.split, one.kind) for one in found.pictures)


def test_mvtecs_layout_is_read_with_its_masks(tmp_path: Path) -> None:
    (mvtec(tmp_path) / "license.txt").write_text("yes")
    found = read_inspected_pictures(tmp_path)
    expected = {("train", GOOD): 3, ("test", GOOD): 2, ("test", "scratch"): 2}
    assert placed(found) == expected
    split = collect_inspected([one for one in found.pictures if one.split == "test"], BLOCK)
    assert split.masks is not None
    bad = split.masks[split.is_bad]
    assert not split.masks[~split.is_bad].any()
    assert bad[:, :, 20:].all()
    assert not bad[:, :, :20].any()


def test_masks_are_resized_without_new_borders(tmp_path: Path) -> None:
    """A checkerboard of single pixels, halved: every pixel stays black or white."""
    mvtec(tmp_path)
    board = np.indices((20, 40)).sum(axis=0) % 3 == 0
    for row in range(2):
        mask(tmp_path / f"ground_truth/scratch/{row:03}_mask.png", board * 255)
    test = [one for one in read_inspected_pictures(tmp_path).pictures if one.kind == "scratch"]
    small = BLOCK.model_copy(update={"height": 10, "width": 20})
    masks = collect_inspected(test, small).masks
    assert masks is not None
    assert np.array_equal(masks[0], board[1::2, 1::2])


@pytest.mark.parametrize("pack", ["tar.gz", "zip"])
@pytest.mark.parametrize("below", ["", "bottle"])
def test_an_archive_says_what_its_folder_says(tmp_path: Path, pack: str, below: str) -> None:
    root = mvtec(tmp_path / "folder" / below)
    archive = tmp_path / f"parts.{pack}"
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]
    if pack == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file in files:
                packed.write(file, file.relative_to(tmp_path / "folder"))
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for file in files:
                tar.add(file, file.relative_to(tmp_path / "folder"))
    found = read_inspected_pictures(archive)
    assert found.name == "parts"
    assert placed(found) == placed(read_inspected_pictures(root))
    test = [one for one in found.pictures if one.split == "test"]
    assert collect_inspected(test, BLOCK).masks is not None


def test_pictures_alone_are_good(tmp_path: Path) -> None:
    for row in range(4):
        picture(tmp_path / f"{row}.jpg")
    assert placed(read_inspected_pictures(tmp_path)) == {("train", GOOD): 4}


@pytest.mark.parametrize("good", ["good", "ok", "Normal", ""])
def test_bad_pictures_lie_in_folders_beside_and_are_never_learned_from(
    tmp_path: Path, good: str
) -> None:
    for row in range(4):
        picture(tmp_path / good / f"{row}.jpg")
        picture(tmp_path / "bad" / f"{row}.jpg")
        picture(tmp_path / "bent" / f"{row}.jpg")
    found = read_inspected_pictures(tmp_path)
    assert placed(found) == {("train", GOOD): 4, ("test", "bad"): 4, ("test", "bent"): 4}


def test_a_picture_may_be_called_like_a_note(tmp_path: Path) -> None:
    for name in ("license_plate.png", "readme.png"):
        picture(tmp_path / name)
    for name in ("README.md", "LICENSE", "readme.txt"):
        (tmp_path / name).write_text("words")
    assert len(read_inspected_pictures(tmp_path).pictures) == 2


def test_one_missing_mask_leaves_pixels_unjudged(tmp_path: Path) -> None:
    (mvtec(tmp_path) / "ground_truth/scratch/001_mask.png").unlink()
    test = [one for one in read_inspected_pictures(tmp_path).pictures if one.split == "test"]
    assert collect_inspected(test, BLOCK).masks is None
    assert collect_inspected(test[:3], BLOCK).masks is not None


def test_a_rotated_photograph_is_placed_upright_as_its_mask_lies(tmp_path: Path) -> None:
    for row in range(2):
        picture(tmp_path / f"good/{row}.jpg")
    picture(tmp_path / "bad/0.jpg", 40, 20, orientation=8)
    mask(tmp_path / "ground_truth/bad/0.png", RIGHT_HALF.T)
    bad = [one for one in read_inspected_pictures(tmp_path).pictures if one.kind == "bad"]
    masks = collect_inspected(bad, BLOCK).masks
    assert masks is not None
    assert masks[0, 20:].all()
    assert not masks[0, :20].any()


def test_kinds_are_counted_good_first() -> None:
    assert [*count_kinds(["b", GOOD, "a", "b"]).items()] == [(GOOD, 1), ("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: picture(root / "odd.png"), r"odd\.png is not where a picture belongs"),
        (lambda root: picture(root / "test/1.png"), r"test/1\.png is not where a picture belongs"),
        (lambda root: picture(root / "test/a/b/1.png"), r"test/a/b/1\.png is not where"),
        (
            lambda root: picture(root / "train/bent/1.png"),
            r"train/bent/1\.png: train/ may hold good",
        ),
        (
            lambda root: mask(root / "ground_truth/scratch/9_mask.png", RIGHT_HALF),
            r"ground_truth/scratch/9_mask\.png is the mask of no bad picture",
        ),
        (
            lambda root: mask(root / "ground_truth/scratch/001_mask.png", RIGHT_HALF[:, 1:]),
            r"test/scratch/001\.png: 40×20 pixels \(upright\), but its mask has 39×20",
        ),
        (
            lambda root: (root / "test/scratch/001.png").write_bytes(b"no picture"),
            r"test/scratch/001\.png: .*replace or remove this file",
        ),
        (
            lambda root: (root / "ground_truth/scratch/001_mask.png").write_bytes(b""),
            r"ground_truth/scratch/001_mask\.png: .*replace or remove this file",
        ),
        (lambda root: (root / "test/good/notes.csv").write_text("a,b"), r"test/good/notes\.csv: "),
    ],
)
def test_a_mistake_is_named_with_its_file(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    change(mvtec(tmp_path))
    with pytest.raises(DataError, match=message):
        collect_inspected(read_inspected_pictures(tmp_path).pictures, BLOCK)


def test_without_good_pictures_there_is_nothing_to_learn(tmp_path: Path) -> None:
    picture(tmp_path / "bent/1.png")
    picture(tmp_path / "torn/1.png")
    with pytest.raises(DataError, match="holds no good pictures; expected"):
        read_inspected_pictures(tmp_path)
