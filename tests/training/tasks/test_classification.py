"""Sample sheets show where a classifier is sure and wrong; tables say what it takes for what, how surely."""

from pathlib import Path

import numpy as np
import pytest

from models.transforms.scores import softmax
from training import metrics
from training.tasks.classification import HeldOut, draw, sample_rows, tables


def test_certain_mistakes_come_first_then_right_answers() -> None:
    truth = np.array([0, 1, 0, 1, 0, 1])
    logits = np.array([[3, 0], [2, 0], [0, 5], [0, 1], [1, 0], [0, 1]], dtype=np.float32)
    held_out = HeldOut("d", "test", truth, truth, ("cat", "dog"))
    assert sample_rows(logits, held_out, 4) == [
        (2, "cat, read as dog"),
        (1, "dog, read as cat"),
        (0, "cat"),
        (5, "dog"),
    ]


def test_a_perfect_classifier_shows_right_answers_only() -> None:
    truth = np.array([0, 1])
    held_out = HeldOut("d", "test", truth, truth, ("cat", "dog"))
    assert sample_rows(np.eye(2, dtype=np.float32), held_out, 24) == [(0, "cat"), (1, "dog")]


def overconfident() -> tuple[np.ndarray, HeldOut]:
    """Right in three of four, and always sure of it: cats are taken for dogs."""
    truth = np.array([0, 0, 1, 1, 2, 2, 0, 0])
    said = np.array([0, 1, 1, 1, 2, 2, 1, 0])
    logits = 9 * np.eye(3, dtype=np.float32)[said]
    return logits, HeldOut("d", "test", truth, truth, ("cat", "dog", "cow"))


def test_every_class_has_its_counts_and_shares() -> None:
    classes, _, _ = tables(*overconfident(), temperature=1.0)
    rows = {row[0]: row[1:] for row in classes.rows}
    assert rows["cat"] == ("4", "2", "2", "0", "1.0000", "0.5000", "0.6667")
    assert rows["dog"] == ("2", "2", "0", "2", "0.5000", "1.0000", "0.6667")
    assert rows["cow"] == ("2", "2", "0", "0", "1.0000", "1.0000", "1.0000")


def test_confusions_are_named_commonest_first() -> None:
    logits, held_out = overconfident()
    assert tables(logits, held_out, 1.0)[1].rows == (("cat", "dog", "2", "50.0%"),)
    right = 9 * np.eye(3, dtype=np.float32)[held_out.labels]
    none = tables(right, held_out, 1.0)[1]
    assert none.rows == ()
    assert none.note == "Nothing was confused."


def test_calibration_is_told_before_and_after_the_temperature() -> None:
    logits, held_out = overconfident()
    temperature = metrics.fit_temperature(logits, held_out.labels)
    before, after = tables(logits, held_out, temperature)[2].rows
    assert before[1] == "1.0000"
    assert after[1] == f"{temperature:.4f}"
    assert float(before[2]) > 0.99  # it claims to be sure
    assert before[3] == after[3] == "0.7500"  # a temperature changes no answer
    assert float(before[4]) == pytest.approx(0.25, abs=0.01)
    assert float(after[4]) < 0.1
    assert float(after[5]) < float(before[5])
    honest = metrics.expected_calibration_error(softmax(logits, temperature), held_out.labels)
    assert after[4] == f"{honest:.4f}"


def test_of_very_many_classes_the_worst_are_shown() -> None:
    truth = np.arange(100)
    said = np.where(truth < 5, truth + 1, truth)
    names = tuple(f"c{number}" for number in range(100))
    held_out = HeldOut("d", "test", truth, truth, names)
    classes, _, _ = tables(np.eye(100, dtype=np.float32)[said], held_out, 1.0)
    assert len(classes.rows) == 60
    assert "60 of 100" in classes.note
    assert {row[0] for row in classes.rows[:5]} == {f"c{number}" for number in range(5)}


def test_the_plots_are_confusion_and_reliability(tmp_path: Path) -> None:
    draw(tmp_path, *overconfident(), temperature=2.0)
    assert {path.name for path in tmp_path.iterdir()} == {"confusion.png", "reliability.png"}
