"""Places of tokens are what a person would mark in the text: no spaces, whole letters."""

import numpy as np
import pytest

from models.transforms.offsets import settled


@pytest.mark.parametrize(
    ("text", "given", "wanted"),
    [
        ("the sea", (3, 7), "sea"),
        ("sea \n", (0, 5), "sea"),
        ("a  b", (1, 3), "  "),
        ("cafe\u0301 x", (0, 4), "cafe\u0301"),
        ("a\u0323\u0307b", (0, 1), "a\u0323\u0307"),
        ("❤\ufe0f!", (0, 1), "❤\ufe0f"),
        ("שָׁלוֹם", (0, 1), "שָׁ"),
        ("ab", (0, 1), "a"),
    ],
)
def test_a_token_covers_its_letters_and_no_spaces(
    text: str, given: tuple[int, int], wanted: str
) -> None:
    [(start, end)] = settled([given], np.array([0]), (text,)).tolist()
    assert text[start:end] == wanted


def test_special_tokens_stand_nowhere_and_each_text_has_its_own_places() -> None:
    places = settled([(0, 0), (0, 2), (0, 0), (2, 4)], np.array([-1, 0, -1, 1]), ("ab", "c  d"))
    assert places.tolist() == [[0, 0], [0, 2], [0, 0], [3, 4]]
    assert places.dtype == np.int64


@pytest.mark.parametrize(("marks", "end"), [(2, 3), (30, 31), (31, 31), (100_000, 31)])
def test_a_letter_has_as_many_marks_as_unicode_lets_one_have(marks: int, end: int) -> None:
    """Else a text of marks alone is read to its end for each of its tokens."""
    text = "e" + "\u0301" * marks + " x"
    assert settled([(0, 1)], np.array([0]), (text,)).tolist() == [[0, end]]
