"""The parts of a run: bad pictures are never learned from, and no picture is in two parts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.training.data.boxed_files import picture
from training import recipes
from training.data.defects import KINDS
from training.data.inspected_pictures import GOOD
from training.data.inspection import Inspection, prepare_inspection
from training.errors import DataError
from training.settings import with_settings
from training.tasks.anomaly_settings import AnomalyConfig


def config(*settings: str) -> AnomalyConfig:
    recipe = recipes.get("visual-anomaly")
    made = with_settings(recipe.build_config(), [*recipe.tiny, *settings])
    assert isinstance(made, AnomalyConfig)
    return made


def numbered(root: Path, *folders: str, count: int = 20, start: int = 0) -> Path:
    """Pictures of one colour each, so that they are told apart; bad ones are white at the top."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for row in range(count):
            level = start + 10 * number + 5 * row
            pixels = np.full((32, 48, 3), level, dtype=np.uint8)
            if "good" not in folder and folder != ".":
                pixels[:8] = 255
            Image.fromarray(pixels).save(root / folder / f"{row:03}.png")
    return root


def levels(pixels: Any) -> set[int]:
    return {int(picture[0, -1, -1]) for picture in pixels}


def has_bad(pixels: Any) -> bool:
    return bool((pixels[:, :, 0] == 255).any())


def test_parts_share_no_picture_and_all_are_used(tmp_path: Path) -> None:
    data = prepare_inspection(numbered(tmp_path, ".", count=40), config(), 0)
    good = data.test.pixels[~data.test.is_bad]
    parts = [levels(data.train.pixels), levels(data.validation.pixels), levels(good)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 40
    assert [len(part) for part in parts] == [27, 5, 8]


def test_bad_pictures_are_judged_on_and_nothing_else(tmp_path: Path) -> None:
    data = prepare_inspection(numbered(tmp_path, "good", "bent", "torn"), config(), 0)
    assert set(data.train.kinds) == set(data.validation.kinds) == {GOOD}
    assert not has_bad(data.train.pixels)
    assert not has_bad(data.validation.pixels)
    kinds = list(data.test.kinds)
    assert [kinds.count(kind) for kind in (GOOD, "bent", "torn")] == [4, 20, 20]
    assert data.note == "as the data say"


def test_normalisation_knows_training_pictures_alone(tmp_path: Path) -> None:
    root = numbered(tmp_path, "train/good", count=8)
    alone = prepare_inspection(numbered(root, "test/good", count=4), config(), 0)
    other = prepare_inspection(numbered(root, "test/good", "test/bent", count=9), config(), 0)
    assert alone.block == other.block


def test_named_parts_are_kept_and_only_validation_is_taken_from_training(tmp_path: Path) -> None:
    numbered(tmp_path, "train/good")
    numbered(tmp_path, "test/good", "test/bent", count=5, start=2)
    data = prepare_inspection(tmp_path, config(), 0)
    assert levels(data.train.pixels) | levels(data.validation.pixels) == set(range(0, 100, 5))
    assert len(data.validation) == 3
    assert list(data.test.kinds) == ["bent"] * 5 + [GOOD] * 5


def test_given_validation_pictures_settle_the_threshold(tmp_path: Path) -> None:
    numbered(tmp_path, "train/good", "val/good", "test/good", count=6)
    data = prepare_inspection(tmp_path, config(), 0)
    assert [len(part) for part in (data.train, data.validation)] == [6, 6]
    assert levels(data.validation.pixels) == set(range(10, 40, 5))


def test_where_no_bad_pictures_are_given_defects_are_drawn_and_it_is_said(tmp_path: Path) -> None:
    data = prepare_inspection(numbered(tmp_path, ".", count=25), config(), 0)
    assert data.test.kinds == (GOOD,) * 5 + KINDS
    assert data.test.masks is not None
    assert data.test.masks.any(axis=(1, 2)).tolist() == [False] * 5 + [True] * 5
    assert "drawn defects" in data.note
    again = prepare_inspection(tmp_path, config(), 0)
    assert np.array_equal(data.test.pixels, again.test.pixels)


def test_the_seed_decides_what_is_held_out(tmp_path: Path) -> None:
    numbered(tmp_path, ".", count=40)
    first, second, other = (
        levels(prepare_inspection(tmp_path, config(f"seed={seed}"), 0).train.pixels)
        for seed in (1, 1, 2)
    )
    assert first == second != other


@pytest.mark.parametrize(
    ("size", "settings", "side"),
    [
        ((90, 60), (), 96),
        ((12, 12), (), 32),
        ((900, 600), (), 256),
        ((900, 600), ("canvas.largest=100",), 96),
    ],
)
def test_the_canvas_is_the_pictures_own_size_within_bounds(
    tmp_path: Path, size: tuple[int, int], settings: tuple[str, ...], side: int
) -> None:
    for row in range(9):
        picture(tmp_path / f"{row}.jpg", *size)
    assert prepare_inspection(tmp_path, config(*settings), 0).side == side


def test_too_few_good_pictures_are_refused_with_the_numbers(tmp_path: Path) -> None:
    numbered(tmp_path, "good", count=7)
    numbered(tmp_path, "bad", count=30)
    with pytest.raises(DataError, match="7 good pictures leave 3 to learn from; at least 4"):
        prepare_inspection(tmp_path, config(), 0)


def test_without_data_cloth_is_drawn(tmp_path: Path) -> None:
    data: Inspection = prepare_inspection(None, config(), 0)
    counts = [len(part) for part in (data.train, data.validation, data.test)]
    assert counts == [24, 8, 22]
    assert data.test.is_bad.sum() == 10
    assert data.test.masks is not None
    assert data.test.masks.any(axis=(1, 2)).tolist() == data.test.is_bad.tolist()
