"""Figures of drawn pictures, held against cases whose answer is known."""

import numpy as np
import pytest

from training import drawing_metrics as figures


def normal(seed: int, count: int, mean: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, scale, (count, 5))


def test_the_frechet_distance_of_normal_clouds_is_the_textbooks() -> None:
    # 5 dimensions: squared distance of means plus 5 (1 − 2)² for the deviations.
    left, right = normal(0, 20_000), normal(1, 20_000, mean=3.0, scale=2.0)
    assert figures.frechet_distance(left, right) == pytest.approx(5 * 9 + 5 * 1, rel=0.03)


def test_a_cloud_is_at_no_distance_from_itself_and_order_does_not_matter() -> None:
    left, right = normal(0, 300), normal(1, 300, mean=0.5)
    assert figures.frechet_distance(left, left) == pytest.approx(0, abs=1e-6)
    assert figures.frechet_distance(left, right) == pytest.approx(
        figures.frechet_distance(right, left)
    )


def test_features_that_never_vary_do_no_harm() -> None:
    left = np.zeros((10, 5))
    assert figures.frechet_distance(left, left + 2) == pytest.approx(20)


@pytest.mark.parametrize("mean", [0.0, 0.1, 1.0])
def test_the_interval_of_the_distance_holds_the_distance(mean: float) -> None:
    """Close ones as well, where resampling adds the most."""
    left, right = normal(0, 200), normal(1, 200, mean=mean)
    interval = figures.frechet_interval(left, right, seed=0)
    assert 0 <= interval.low < figures.frechet_distance(left, right) < interval.high
    assert interval == figures.frechet_interval(left, right, seed=0)


def test_equal_pictures_are_at_no_distance_from_each_other() -> None:
    pictures = np.ones((6, 1, 4, 4))
    assert figures.nearest_within(pictures) == 0
    assert figures.spread_within_classes(pictures, np.arange(6) % 2) == 0
    assert figures.nearest_among(pictures, pictures * 3) == pytest.approx(2 * 4)


def test_copies_of_training_pictures_are_seen_as_such() -> None:
    train = normal(0, 50)
    assert figures.nearest_among(train[:20], train) == pytest.approx(0, abs=1e-5)
    assert figures.nearest_among(normal(1, 20), train) > 0.5


def test_classes_count_by_how_evenly_they_occur() -> None:
    assert figures.effective_classes(np.arange(100) % 10, 10) == pytest.approx(1.0)
    assert figures.effective_classes(np.zeros(100, np.int64), 10) == pytest.approx(0.1)
    assert figures.effective_classes(np.arange(100) % 5, 10) == pytest.approx(0.5)
