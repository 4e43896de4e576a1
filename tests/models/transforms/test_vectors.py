import math

import numpy as np
import pytest

from models.blocks import ScorePostprocessing
from models.transforms.scores import pair_score
from models.transforms.vectors import cosine, finished, normalised


def test_what_is_left_of_a_shortened_vector_has_length_one() -> None:
    vector = finished(np.array([3.0, 4.0, 12.0]), dimensions=2, normalise=True)
    assert np.allclose(vector, [0.6, 0.8])
    assert vector.dtype == np.float32
    assert vector.flags.c_contiguous


def test_a_vector_may_be_left_as_it_is() -> None:
    assert finished(np.array([3.0, 4.0]), dimensions=None, normalise=False).tolist() == [3, 4]


def test_zeros_stay_zeros() -> None:
    assert not normalised(np.zeros((2, 3))).any()
    assert cosine(np.zeros(3), np.ones(3)) == 0


def test_cosines_stay_within_their_bounds() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    assert np.abs(cosine(rows, rows) - 1).max() < 1e-6
    assert cosine(rows, rows).max() <= 1
    assert np.allclose(cosine(rows[:1], -rows[:1]), -1)


@pytest.mark.parametrize("logit", [-1000.0, -2.0, 0.0, 2.0, 1000.0])
def test_a_pairs_score_is_the_sigmoid_times_the_scale(logit: float) -> None:
    expected = 5 / (1 + math.exp(-max(logit, -700)))
    block = ScorePostprocessing(scale=5.0)
    assert pair_score(logit, block) == pytest.approx(expected, abs=1e-12)
    assert pair_score(logit, ScorePostprocessing(activation="none", scale=2.0)) == 2 * logit
