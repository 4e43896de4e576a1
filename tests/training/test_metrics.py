"""Figures of merit agree with the definitions and with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
)

from models.transforms.scores import softmax
from training import metrics


def test_wilson_interval_matches_the_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    interval = metrics.wilson_interval(81, 263)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.2553, 0.3662)
    interval = metrics.wilson_interval(0, 20)
    assert (interval.low, round(interval.high, 4)) == (0.0, 0.1611)


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (0, 7), (7, 7), (1, 1), (999, 1000)])
def test_wilson_interval_stays_within_zero_and_one(correct: int, total: int) -> None:
    interval = metrics.wilson_interval(correct, total)
    assert 0.0 <= interval.low <= (correct / total if total else 0.5) <= interval.high <= 1.0


def test_macro_f1_and_confusion_equal_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    truth, answer = generator.integers(0, 6, 400), generator.integers(0, 6, 400)
    assert np.array_equal(metrics.confusion(truth, answer, 6), confusion_matrix(truth, answer))
    assert metrics.macro_f1(truth, answer, 6) == pytest.approx(
        f1_score(truth, answer, average="macro")
    )


def test_macro_f1_leaves_out_classes_nobody_saw() -> None:
    truth, answer = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    assert metrics.macro_f1(truth, answer, 9) == metrics.macro_f1(truth, answer, 2)


def test_the_confusion_of_several_labels_an_item_equals_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    truth, given = (generator.random((60, 4)) < 0.3 for _ in range(2))
    tables = metrics.multilabel_confusion(truth, given)
    np.testing.assert_array_equal(tables, multilabel_confusion_matrix(truth, given))
    precision, recall, f1, _ = precision_recall_fscore_support(truth, given, zero_division=0)
    expected = np.stack([precision, recall, f1], axis=1)
    np.testing.assert_allclose(metrics.precision_recall_f1(tables), expected)


def test_a_class_that_nobody_has_and_nothing_says_has_figures_of_zero() -> None:
    nothing = np.zeros((5, 1), dtype=bool)
    tables = metrics.multilabel_confusion(nothing, nothing)
    assert tables.tolist() == [[[5, 0], [0, 0]]]
    assert metrics.precision_recall_f1(tables).tolist() == [[0, 0, 0]]


def test_majority_baseline_learns_from_training_labels_only() -> None:
    assert metrics.majority_accuracy(np.array([1, 1, 0]), np.array([0, 0, 0, 1])) == 0.25


def test_calibration_error_is_zero_for_honest_confidence() -> None:
    probabilities = np.tile([0.75, 0.25], (4, 1))
    assert metrics.expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == 0.0
    assert metrics.expected_calibration_error(probabilities, np.array([1, 1, 1, 1])) == 0.75


def test_temperature_undoes_a_known_exaggeration() -> None:
    generator = np.random.default_rng(1)
    honest = generator.normal(size=(20_000, 4)) * 2
    cumulative = softmax(honest).cumsum(axis=1)
    truth = (generator.random((20_000, 1)) > cumulative).sum(axis=1).clip(max=3)
    assert metrics.fit_temperature(honest * 3, truth) == pytest.approx(3.0, rel=0.05)


def test_temperature_stays_bounded_when_nothing_is_wrong_and_is_one_without_data() -> None:
    few, many = (
        metrics.fit_temperature(np.tile(np.eye(3) * 10, (copies, 1)), np.tile(np.arange(3), copies))
        for copies in (1, 100)
    )
    # The more right answers there are, the more confidence they justify; never without bounds.
    assert 0.05 < many < few < 20
    assert metrics.fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0


def test_bootstrap_interval_is_repeatable_and_covers_the_statistic() -> None:
    values = np.random.default_rng(2).normal(5.0, 1.0, 300)
    first = metrics.bootstrap_interval(values, lambda rows: float(rows.mean()), seed=3)
    assert first == metrics.bootstrap_interval(values, lambda rows: float(rows.mean()), seed=3)
    assert first.low < values.mean() < first.high
    assert first.high - first.low == pytest.approx(4 * 300**-0.5, rel=0.2)
