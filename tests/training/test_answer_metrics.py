"""Exact match and F1 by SQuAD's documented rules, on cases worked out by hand."""

import pytest

from training.answer_metrics import exact_match, f1, normalised


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The  Cat!", "cat"),
        ("a.b.c.", "abc"),
        ("An apple, a day", "apple day"),
        ("theatre", "theatre"),
        ("U.S.", "us"),
        ("the", ""),
    ],
)
def test_capitals_punctuation_and_articles_do_not_count(answer: str, expected: str) -> None:
    assert normalised(answer) == expected


@pytest.mark.parametrize(
    ("given", "right", "exact", "overlap"),
    [
        ("the cat", ["Cat."], 1.0, 1.0),
        ("the black cat", ["cat"], 0.0, 2 / 3),
        ("cat cat", ["cat"], 0.0, 2 / 3),
        ("dog", ["cat", "dog house", "a dog"], 1.0, 1.0),
        ("dog", ["cat", "dog house"], 0.0, 2 / 3),
        ("dog", ["cat"], 0.0, 0.0),
        ("", [], 1.0, 1.0),
        ("dog", [], 0.0, 0.0),
        ("", ["dog"], 0.0, 0.0),
        ("", ["the"], 1.0, 1.0),
    ],
)
def test_the_closest_of_the_right_answers_counts(
    given: str, right: list[str], exact: float, overlap: float
) -> None:
    assert exact_match(given, right) == exact
    assert f1(given, right) == pytest.approx(overlap)
