import numpy as np
import pytest

from training.data.defects import KINDS, draw_defect
from training.data.surfaces import draw_good


@pytest.mark.parametrize("side", [32, 96])
@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_is_always_there_marked_and_confined(kind: str, side: int) -> None:
    good = draw_good("test", 1, side)[0]
    before = good.copy()
    for seed in range(60):
        bad, wrong = draw_defect(kind, good, np.random.default_rng(seed))
        assert (bad.shape, bad.dtype) == (good.shape, np.uint8)
        assert (wrong.shape, wrong.dtype) == ((side, side), np.bool_)
        assert 0 < wrong.mean() < 0.25
        differs = np.abs(bad.astype(int) - good).max(axis=0)
        assert differs[wrong].max() > 5, f"{kind} of seed {seed} cannot be seen"
        # What is covered faintly is changed, and not marked; far from the mark nothing is.
        assert (differs[~wrong] > 0).mean() < 0.1
    assert np.array_equal(good, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_dice_draw_the_same(kind: str) -> None:
    good = draw_good("test", 1, 32)[0]
    first, second, other = (draw_defect(kind, good, np.random.default_rng(s)) for s in (5, 5, 6))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


def test_places_and_strengths_differ() -> None:
    good = draw_good("test", 1, 64)[0]
    drawn = [draw_defect("stain", good, np.random.default_rng(seed))[1] for seed in range(40)]
    centres = np.array([np.argwhere(wrong).mean(axis=0) for wrong in drawn])
    assert (centres.std(axis=0) > 6).all()
    sizes = np.array([wrong.sum() for wrong in drawn])
    assert sizes.max() > 2 * sizes.min()
