"""The example pictures are what their script draws, and no recipe has learned from them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs.examples import draw
from training.data import emblems, scenes, surfaces

DRAWN = draw.drawn()


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_what_the_script_draws(name: str) -> None:
    there = np.asarray(Image.open(draw.HERE / name)).transpose(2, 0, 1).astype(int)
    assert there.shape == DRAWN[name].shape
    # Another machine's sine may round a level differently.
    assert np.abs(there - DRAWN[name]).max() <= 1


def test_the_script_writes_every_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["draw", str(tmp_path)])
    draw.main()
    assert {path.name for path in tmp_path.iterdir()} == set(DRAWN)
    for name, pixels in DRAWN.items():
        written = np.asarray(Image.open(tmp_path / name)).transpose(2, 0, 1)
        np.testing.assert_array_equal(written, pixels)


def test_no_split_holds_one_of_them() -> None:
    def is_among(name: str, pictures: list[np.ndarray]) -> bool:
        return any(np.array_equal(DRAWN[name], picture) for picture in pictures)

    for split in ("train", "validation", "test"):
        drawn = scenes.draw_scenes(split, 60, draw.SIDE, "shapes")
        assert not is_among("scene.png", [scene.pixels for scene in drawn])
    assert not is_among("cloth.png", list(surfaces.draw_bad(150, draw.SIDE)[0]))
    seen = emblems.draw_emblems("test", 4, 12, 32)
    assert not is_among("emblem.png", list(seen.pixels))
    assert "emblem-20003" in emblems.identity_names("test", 4)
