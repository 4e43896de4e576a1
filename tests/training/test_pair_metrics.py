import numpy as np
import pytest
from scipy.stats import spearmanr

from training.pair_metrics import (
    mean_interval,
    reciprocal_ranks,
    spearman,
    spearman_interval,
    tfidf_vectors,
)


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_scipys_also_with_ties(seed: int) -> None:
    dice = np.random.default_rng(seed)
    first, second = dice.integers(0, 6, 40), dice.normal(size=40).round(1)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_a_constant_has_no_correlation() -> None:
    assert spearman(np.ones(5), np.arange(5)) == 0.0


def test_the_interval_holds_the_figure() -> None:
    dice = np.random.default_rng(0)
    first = dice.normal(size=200)
    second = first + dice.normal(size=200)
    interval = spearman_interval(first, second, 0)
    assert interval.low < spearman(first, second) < interval.high
    assert interval.high - interval.low < 0.3


def test_the_rank_of_the_wanted_candidate() -> None:
    similarity = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    assert reciprocal_ranks(similarity, np.array([0, 1, 2])).tolist() == [1, 1 / 2, 1 / 3]


def test_equal_scores_count_against_the_model() -> None:
    assert reciprocal_ranks(np.ones((1, 4)), np.array([0])).tolist() == [1 / 4]


def test_other_right_answers_push_nothing_down() -> None:
    similarity = np.array([[0.9, 0.5, 0.7]])
    is_right = np.array([[True, True, False]])
    assert reciprocal_ranks(similarity, np.array([1]), is_right).tolist() == [1 / 2]


def test_the_mean_has_an_interval() -> None:
    values = np.array([1.0, 0.5, 1.0, 0.25] * 25)
    interval = mean_interval(values, 0)
    assert interval.low < values.mean() < interval.high


def test_tfidf_sees_shared_words() -> None:
    vectors = tfidf_vectors(
        ["a red car", "a blue boat", "green tea"], ["red car", "red boat", "green tea"]
    )
    likeness = (vectors @ vectors.T).toarray()
    assert likeness[0, 1] > likeness[0, 2]
    assert np.allclose(likeness.diagonal(), 1, atol=1e-5)
