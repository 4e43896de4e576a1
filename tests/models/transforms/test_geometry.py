import numpy as np
import pytest
from PIL import Image

from models.blocks import ImagePreprocessing
from models.errors import ManifestInvalid
from models.transforms.geometry import (
    REVERSIBLE_FITS,
    placement,
    require_reversible,
    untouched,
)
from models.transforms.image import to_tensor

SIZES = [(64, 64), (200, 100), (101, 203), (37, 400), (640, 33), (48, 31), (1000, 999), (3, 500)]


def block(fit: str, height: int = 64, width: int = 96) -> ImagePreprocessing:
    return ImagePreprocessing.model_validate(
        {"input": "image", "height": height, "width": width, "fit": fit}
    )


@pytest.mark.parametrize("fit", REVERSIBLE_FITS)
@pytest.mark.parametrize("size", SIZES)
def test_a_white_picture_fills_exactly_the_place_that_is_told(
    fit: str, size: tuple[int, int]
) -> None:
    pixels = to_tensor(Image.new("RGB", size, "white"), block(fit))[0]
    placed = placement(size, block(fit))
    assert placed.canvas == pixels.shape[::-1]
    expected = np.zeros(pixels.shape, dtype=np.float32)
    width, height = placed.size
    expected[placed.top : placed.top + height, placed.left : placed.left + width] = 1
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


@pytest.mark.parametrize("fit", REVERSIBLE_FITS)
def test_an_edge_of_the_picture_is_found_where_its_box_says(fit: str) -> None:
    """Black left of and above (200, 80), white right of and below it."""
    levels = np.zeros((160, 480, 3), dtype=np.uint8)
    levels[80:, 200:] = 255
    placed = placement((480, 160), block(fit))
    pixels = to_tensor(Image.fromarray(levels), block(fit))[0]
    [corner] = placed.to_canvas(np.array([[200, 80, 480, 160]]))
    width, height = placed.size
    inside = pixels[placed.top : placed.top + height, placed.left : placed.left + width]
    # A half-lit row or column counts by its light, so the edge is known to a part of a pixel.
    row, column = inside[-1].sum(), inside[:, -1].sum()
    assert placed.left + width - row == pytest.approx(corner[0], abs=0.02)
    assert placed.top + height - column == pytest.approx(corner[1], abs=0.02)


@pytest.mark.parametrize("fit", REVERSIBLE_FITS)
@pytest.mark.parametrize("size", SIZES)
def test_boxes_come_back_to_where_they_were(fit: str, size: tuple[int, int]) -> None:
    width, height = size
    boxes = np.array([[0, 0, width, height], [1, 1, width / 2, height / 3]])
    placed = placement(size, block(fit))
    np.testing.assert_allclose(placed.to_picture(placed.to_canvas(boxes)), boxes, atol=1e-9)


def test_boxes_are_cut_off_at_the_edges_of_the_picture() -> None:
    placed = placement((200, 100), block("pad"))
    assert placed.to_picture(np.array([[-5.0, -5, 500, 500]])).tolist() == [[0, 0, 200, 100]]


def test_a_mask_lies_where_the_picture_lies() -> None:
    mask = np.zeros((100, 200), dtype=np.uint8)
    mask[50:, 100:] = 3
    placed = placement((200, 100), block("pad"))
    found = placed.place_mask(mask, 255)
    assert found.shape == (64, 96)
    assert (found[:8] == 255).all()
    assert (found[-8:] == 255).all()
    assert (found[8:32, :] == 0).all()
    assert (found[32:56, 48:] == 3).all()
    assert (found[32:56, :48] == 0).all()


def test_a_picture_too_thin_to_be_seen_has_an_empty_place() -> None:
    placed = placement((1, 5000), block("pad"))
    assert placed.size[0] == 0
    assert (placed.place_mask(np.ones((5000, 1), np.uint8), 255) == 255).all()
    assert np.isfinite(placed.to_picture(np.array([[1.0, 2, 3, 4]]))).all()


def test_the_graphs_own_input_is_its_own_picture() -> None:
    boxes = np.array([[1.0, 2, 3, 4]])
    assert untouched((96, 64)).to_picture(boxes).tolist() == boxes.tolist()


@pytest.mark.parametrize("fit", ["crop", "content"])
def test_a_fit_that_drops_parts_is_refused(fit: str) -> None:
    with pytest.raises(ManifestInvalid, match=f"keeps the whole picture .* not '{fit}'"):
        require_reversible(block(fit), "object-detection")
