import io

import numpy as np
import pytest
from PIL import Image

from models.blocks import ImagePreprocessing
from models.transforms.anomaly import grey_levels, heat_map
from models.transforms.geometry import Size, placement, untouched


def shades(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.mode == "L"
    return np.asarray(image)


def test_shades_run_from_low_to_high_and_end_there() -> None:
    values = np.array([-9.0, 1.0, 2.0, 3.0, 99.0], dtype=np.float32)
    assert grey_levels(values, 1, 3).tolist() == [0, 0, 128, 255, 255]


def test_an_empty_range_divides_by_no_zero() -> None:
    assert grey_levels(np.array([0.0, 1.0, 2.0]), 1, 1).tolist() == [0, 0, 255]


def test_at_the_graphs_own_size_a_pixel_has_its_values_shade() -> None:
    values = np.random.default_rng(0).random((12, 20), dtype=np.float32)
    map_ = shades(heat_map(values, untouched((20, 12)), (20, 12), 0.0, 1.0))
    assert np.array_equal(map_, grey_levels(values, 0.0, 1.0))


def test_the_border_of_a_letterbox_is_no_part_of_the_map() -> None:
    """200×100 in 64×64: rows 16 to 48 are the picture, its right half white; the border too."""
    values = np.ones((64, 64), dtype=np.float32)
    values[16:48, :32] = 0
    block = ImagePreprocessing(input="image", height=64, width=64, fit="pad")
    map_ = shades(heat_map(values, placement((200, 100), block), (200, 100), 0.0, 1.0))
    assert map_.shape == (100, 200)
    assert map_[:, :95].max() == 0
    assert map_[:, 105:].min() == 255


def test_a_map_coarser_than_the_canvas_lies_where_it_belongs() -> None:
    values = np.zeros((16, 16), dtype=np.float32)
    values[8:, 8:] = 1
    block = ImagePreprocessing(input="image", height=64, width=64, fit="stretch")
    map_ = shades(heat_map(values, placement((80, 40), block), (80, 40), 0.0, 1.0))
    assert map_[24:, 46:].min() > 250
    assert max(map_[:16].max(), map_[:, :34].max()) < 5


@pytest.mark.parametrize("side", [7, 23, 64])
def test_no_rounding_lets_the_map_end_before_the_picture(side: int) -> None:
    """Sides whose quotients are no floats: nothing black may appear at the far edges."""
    block = ImagePreprocessing(input="image", height=49, width=49, fit="stretch")
    values = np.ones((side, side), dtype=np.float32)
    map_ = shades(heat_map(values, placement((83, 61), block), (83, 61), 0.0, 1.0))
    assert map_.min() == 255


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_the_thinnest_pictures_have_a_map(size: Size) -> None:
    block = ImagePreprocessing(input="image", height=32, width=32, fit="pad")
    values = np.full((32, 32), 0.5, dtype=np.float32)
    map_ = shades(heat_map(values, placement(size, block), size, 0.0, 1.0))
    assert map_.shape == size[::-1]
    assert set(np.unique(map_)) == {128}
