"""The answer is the best span that is allowed, whichever window holds it."""

import itertools

import numpy as np
import pytest

from models.blocks import TextPreprocessing
from models.transforms.spans import (
    SpanWindow,
    answer_tokens,
    nothing_token,
    search,
    trimmed,
)
from models.transforms.text import TextEncoder
from training.data.pair_tokenizer import with_pair_marks
from training.data.text_tokenizer import fit_tokenizer

# [CLS] q [SEP] five words of the context [SEP]
SEQUENCE = np.array([-1, 0, -1, 1, 1, 1, 1, 1, -1])
OFFSETS = np.array([[0, 0], [0, 3], [0, 0], [0, 4], [5, 9], [10, 14], [15, 19], [20, 24], [0, 0]])


def window(start: dict[int, float], end: dict[int, float], shift: int = 0) -> SpanWindow:
    rows = np.zeros((2, len(SEQUENCE)), np.float32)
    for row, values in zip(rows, (start, end), strict=True):
        for token, value in values.items():
            row[token] = value
    return SpanWindow(rows[0], rows[1], OFFSETS + shift, SEQUENCE)


def test_the_best_span_is_where_both_ends_say_so() -> None:
    found = search([window({4: 5.0}, {5: 5.0})], max_answer_tokens=5)
    assert (found.answers[0].start, found.answers[0].end) == (5, 14)
    assert found.answers[0].logit == 10.0


@pytest.mark.parametrize("token", [0, 1, 2, 8])
def test_question_and_marks_are_never_the_answer(token: int) -> None:
    [answer] = search(
        [window({token: 99.0, 4: 1}, {token: 99.0, 4: 1})], max_answer_tokens=5
    ).answers
    assert (answer.start, answer.end) == (5, 9)


def test_an_end_before_the_start_is_no_answer() -> None:
    [answer] = search([window({6: 5.0}, {4: 5.0, 7: 1.0})], max_answer_tokens=5).answers
    assert answer.start <= answer.end
    assert (answer.start, answer.end) == (15, 24)


def test_an_answer_is_not_longer_than_allowed() -> None:
    logits = window({3: 5.0}, {7: 5.0, 4: 1.0})
    [long] = search([logits], max_answer_tokens=5).answers
    assert (long.start, long.end) == (0, 24)
    [short] = search([logits], max_answer_tokens=2).answers
    assert (short.start, short.end) in {(0, 9), (15, 24)}


def test_windows_are_compared_by_their_logits() -> None:
    sure = window({3: 2.0}, {3: 2.0})  # nothing else in this window is likely
    surer = window({5: 3.0}, {5: 3.0}, shift=100)
    for windows in itertools.permutations([sure, surer]):
        [answer] = search(windows, max_answer_tokens=3).answers
        assert (answer.start, answer.end) == (110, 114)


def test_scores_are_shares_of_all_spans_and_of_nothing() -> None:
    given = window({4: 2.0}, {5: 1.0})
    found = search([given], max_answer_tokens=5, top_k=15, may_have_no_answer=True)
    pairs = [(i, j) for i in range(3, 8) for j in range(i, 8)]
    total = sum(np.exp(given.start_logits[i] + given.end_logits[j]) for i, j in pairs)
    total += np.exp(given.start_logits[0] + given.end_logits[0])
    assert found.answers[0].score == pytest.approx(np.exp(3.0) / total)
    assert found.nothing_score == pytest.approx(1.0 / total)
    assert found.nothing_lead == pytest.approx(-3.0)


def test_of_several_windows_the_one_that_doubts_nothing_most_counts() -> None:
    empty = window({0: 9.0}, {0: 9.0})
    holder = window({0: -1.0, 4: 4.0}, {0: -1.0, 4: 4.0}, shift=50)
    found = search([empty, holder], max_answer_tokens=3, may_have_no_answer=True)
    assert found.nothing_lead == pytest.approx(-2.0 - 8.0)


def test_further_answers_do_not_overlap_better_ones() -> None:
    found = search(
        [window({4: 5.0, 7: 3.0}, {4: 4.9, 5: 5.0, 7: 3.0})], max_answer_tokens=3, top_k=3
    )
    places = [(answer.start, answer.end) for answer in found.answers]
    assert places[:2] == [(5, 14), (20, 24)]
    for one, other in itertools.combinations(places, 2):
        assert one[1] <= other[0] or other[1] <= one[0]
    scores = [answer.score for answer in found.answers]
    assert scores == sorted(scores, reverse=True)


def test_without_a_token_of_the_context_there_is_no_answer() -> None:
    bare = SpanWindow(np.zeros(2), np.zeros(2), np.zeros((2, 2), int), np.array([-1, 0]))
    found = search([bare], max_answer_tokens=3)
    assert found.answers == []
    assert found.nothing_lead == np.inf


def test_logits_beyond_all_bounds_still_give_shares() -> None:
    found = search([window({4: 1e4}, {4: 1e4})], max_answer_tokens=3, may_have_no_answer=True)
    assert found.answers[0].score == pytest.approx(1.0)
    assert found.nothing_score == 0.0


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(5, 9, (4, 4)), (5, 14, (4, 5)), (6, 8, (4, 4)), (0, 24, (3, 7)), (20, 30, None)],
)
def test_a_right_answer_becomes_its_tokens(
    start: int, end: int, expected: tuple[int, int] | None
) -> None:
    assert answer_tokens(OFFSETS, SEQUENCE, start, end) == expected


def test_nothing_is_said_by_the_first_mark() -> None:
    assert nothing_token(SEQUENCE) == 0
    assert nothing_token(np.array([1, 1, -1])) == 2
    assert nothing_token(np.array([0, 1])) == 0


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(1, 6, (2, 5)), (2, 5, (2, 5)), (0, 2, (0, 2))]
)
def test_spaces_at_the_ends_are_no_part_of_an_answer(
    start: int, end: int, expected: tuple[int, int]
) -> None:
    assert trimmed("  abc  ", start, end) == expected


@pytest.fixture(scope="module")
def pairs() -> TextEncoder:
    fitted = with_pair_marks(fit_tokenizer(["who what where is was it"] * 3, 300, lowercase=True))
    block = TextPreprocessing(
        max_tokens=32, stride_tokens=8, is_pair=True, type_ids_input="token_type_ids"
    )
    return TextEncoder(fitted.to_str(), block)


@pytest.mark.parametrize("copies", [1, 40])
def test_windows_of_real_tokens_hold_every_place_of_the_context(
    pairs: TextEncoder, copies: int
) -> None:
    context = "it was é\u0301 where \U0001f600 it is. " * copies
    windows = pairs.encode_pair("who is it?", context)
    assert (len(windows) > 1) == (copies > 1)
    covered = {
        place
        for one in windows
        for (start, end), which in zip(one.offsets.tolist(), one.sequence.tolist(), strict=True)
        if which == 1
        for place in range(start, end)
    }
    assert covered >= {place for place, sign in enumerate(context) if not sign.isspace()}
    for one in windows:
        types = one.row["token_type_ids"]
        assert (types[one.sequence == 0] == 0).all()
        assert (types[one.sequence == 1] == 1).all()
        assert len(types) <= 32
