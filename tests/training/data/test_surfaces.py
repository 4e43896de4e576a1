import numpy as np
import pytest

from training.data.defects import KINDS
from training.data.surfaces import draw_bad, draw_good, sha256

SIDE = 32


def test_pictures_do_not_depend_on_how_many_are_drawn() -> None:
    assert np.array_equal(draw_good("train", 5, SIDE)[:2], draw_good("train", 2, SIDE))
    assert np.array_equal(draw_bad(5, SIDE)[0][:2], draw_bad(2, SIDE)[0])


def test_no_piece_of_cloth_is_in_two_parts() -> None:
    parts = [draw_good(split, 6, SIDE) for split in ("train", "validation", "test", "bad")]
    cloths = {picture.tobytes() for part in parts for picture in part}
    assert len(cloths) == 24


def test_kinds_come_in_turns_and_what_is_wrong_is_known() -> None:
    pixels, masks, kinds = draw_bad(2 * len(KINDS), SIDE)
    assert kinds == KINDS * 2
    assert pixels.shape == (2 * len(KINDS), 3, SIDE, SIDE)
    assert masks.any(axis=(1, 2)).all()
    cloth = draw_good("bad", 2 * len(KINDS), SIDE)
    for picture, good, wrong in zip(pixels, cloth, masks, strict=True):
        assert (picture != good).any(axis=0)[wrong].mean() > 0.5


def test_good_pieces_differ_among_each_other() -> None:
    """Or whoever knows the mean picture would find every defect."""
    deviation = draw_good("train", 20, SIDE).std(axis=0)
    assert deviation.mean() > 8


@pytest.mark.parametrize("changed", [0, 1])
def test_the_digest_is_of_all_that_is_drawn(changed: int) -> None:
    arrays = [draw_good("train", 1, SIDE), draw_good("test", 1, SIDE)]
    before = sha256(*arrays)
    assert before == sha256(*arrays)
    arrays[changed][0, 0, 0, 0] ^= 1
    assert sha256(*arrays) != before
