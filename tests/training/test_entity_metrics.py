"""Strict entity F1 on cases counted by hand; seqeval 1.2.2 (mode strict, IOB2) gives the same figures."""

import numpy as np
import pytest

from training.entity_metrics import (
    baseline_tags,
    commonest_tags,
    entity_counts,
    f1,
    precision_recall_f1,
)

TYPES = ("LOC", "PER")


@pytest.mark.parametrize(
    ("gold", "given", "expected"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", (1.0, 1.0, 1.0)),
        ("B-PER I-PER O", "B-PER O O", (0.0, 0.0, 0.0)),  # half an entity is none
        ("B-PER I-PER O", "B-LOC I-LOC O", (0.0, 0.0, 0.0)),
        ("B-PER I-PER O", "I-PER I-PER O", (0.0, 0.0, 0.0)),  # never began
        ("B-PER O B-LOC", "B-PER O I-LOC", (1.0, 0.5, 2 / 3)),
        ("B-PER B-PER", "B-PER I-PER", (0.0, 0.0, 0.0)),
        ("B-PER O O", "B-PER I-LOC O", (1.0, 1.0, 1.0)),  # the stray I-LOC is no entity
        ("O O", "B-PER O", (0.0, 0.0, 0.0)),
        ("O O", "O O", (0.0, 0.0, 0.0)),
        ("B-LOC B-PER I-PER B-LOC", "B-LOC B-PER O B-LOC", (2 / 3, 2 / 3, 2 / 3)),
    ],
)
def test_type_and_both_ends_must_be_right(
    gold: str, given: str, expected: tuple[float, float, float]
) -> None:
    counts = entity_counts([gold.split()], [given.split()], TYPES)
    assert precision_recall_f1(counts) == pytest.approx(expected)


def test_sentences_and_types_are_counted_together_and_apart() -> None:
    gold = [["B-PER", "O"], ["B-LOC", "B-PER"]]
    given = [["B-PER", "B-LOC"], ["B-LOC", "O"]]
    counts = entity_counts(gold, given, TYPES)
    assert counts.shape == (2, 2, 3)
    assert f1(counts) == pytest.approx(4 / 6)
    assert precision_recall_f1(counts[:, 0]) == pytest.approx((0.5, 1.0, 2 / 3))
    assert precision_recall_f1(counts[:, 1]) == pytest.approx((1.0, 0.5, 2 / 3))
    assert f1(counts[np.array([0, 0])]) == pytest.approx(4 / 6)


def test_the_baseline_answers_what_a_word_mostly_is() -> None:
    known = commonest_tags(
        [["May", "came"], ["May", "May"], ["York"]],
        [["O", "O"], ["B-PER", "B-PER"], ["I-LOC"]],
    )
    assert known == {"May": "B-PER", "came": "O", "York": "I-LOC"}
    assert baseline_tags(["York", "York", "never", "May"], known) == [
        "B-LOC",
        "I-LOC",
        "O",
        "B-PER",
    ]
