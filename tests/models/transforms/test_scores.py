"""Scores are probabilities whatever the logits, and ties keep class order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.transforms.scores import softmax, top_k

_logits = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20)


@given(_logits, st.floats(0.1, 10))
def test_scores_are_probabilities_for_any_logits(logits: list[float], temperature: float) -> None:
    scores = softmax(np.array(logits, dtype=np.float32), temperature)
    assert np.isfinite(scores).all()
    assert abs(scores.sum() - 1) < 1e-4
    assert scores.dtype == np.float32


def test_a_higher_temperature_is_less_certain() -> None:
    logits = np.array([1.0, 3.0])
    assert softmax(logits, 4.0).max() < softmax(logits, 1.0).max()


def test_the_best_come_first_and_ties_keep_class_order() -> None:
    answer = top_k(np.array([0.2, 0.4, 0.4]), ["a", "b", "c"], 2)
    assert [(row["label"], row["index"]) for row in answer] == [("b", 1), ("c", 2)]


def test_asking_for_more_than_there_is_gives_all() -> None:
    assert len(top_k(np.array([0.5, 0.5]), ["a", "b"], 99)) == 2
