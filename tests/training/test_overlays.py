import numpy as np

from training.data.masked_pictures import IGNORED
from training.overlays import FOUND, enlarged, on_enlarged, with_boxes, with_mask


def test_a_box_is_drawn_as_its_outline() -> None:
    picture = enlarged(np.zeros((3, 10, 10), dtype=np.uint8))
    assert picture.shape == (3, 20, 20)
    drawn = with_boxes(picture, on_enlarged(np.array([[1.0, 2, 5, 8]])), FOUND)
    lit = (drawn != 0).any(axis=0)
    assert lit[4, 2:11].all()
    assert lit[4:17, 10].all()
    assert not lit[6:15, 4:9].any()
    assert not picture.any()


def test_a_box_over_the_edge_stays_in_the_picture() -> None:
    drawn = with_boxes(np.zeros((3, 8, 8), np.float32), np.array([[-5.0, -5, 50, 50]]), FOUND)
    assert (drawn[1, 0] == 1).all()
    assert (drawn[1, :, 7] == 1).all()


def test_a_mask_tints_everything_but_the_first_class_and_the_unknown() -> None:
    pixels = np.full((3, 2, 2), 100, dtype=np.uint8)
    mask = np.array([[0, 1], [2, IGNORED]], dtype=np.uint8)
    shown = with_mask(pixels, mask, 3)
    plain = 100 / 255
    assert np.allclose(shown[:, 0, 0], plain)
    assert np.allclose(shown[:, 1, 1], plain)
    assert not np.allclose(shown[:, 0, 1], plain)
    assert not np.allclose(shown[:, 0, 1], shown[:, 1, 0])
