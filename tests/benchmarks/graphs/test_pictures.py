import numpy as np
import pytest

from benchmarks.graphs.pictures import CLASSES, digits


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (224, 3)])
def test_pictures_have_the_wanted_shape_and_every_digit(side: int, channels: int) -> None:
    found = digits(20, side, channels, seed=1)
    assert found.pixels.shape == (20, channels, side, side)
    assert found.pixels.dtype == np.float32
    assert np.bincount(found.labels).tolist() == [2] * CLASSES


def test_they_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    first, again, other = (digits(10, 28, 1, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def test_they_lie_about_zero_and_differ() -> None:
    pixels = digits(32, 28, 1, seed=1).pixels
    assert abs(float(pixels.mean())) < 0.05
    assert 0.3 < float(pixels.std()) < 3
    flat = pixels.reshape(len(pixels), -1)
    assert len(np.unique(flat, axis=0)) == len(flat)
