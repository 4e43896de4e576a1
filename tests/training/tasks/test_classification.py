"""The sample sheet shows where a classifier is sure and wrong, then ordinary answers."""

import numpy as np

from training.tasks.classification import HeldOut, sample_rows


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
