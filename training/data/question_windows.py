"""Questions → windows of tokens with their targets, and answers back from the windows' logits.

A window that does not hold the answer, and every window of a question without one, points at the token
that stands for nothing. Letters: T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import TextEmpty, TextTooLong
from models.transforms.spans import Found, SpanWindow, answer_tokens, nothing_token, search
from models.transforms.text import EncodedText, TextEncoder
from training.data.padded_loader import TokenRow
from training.data.questions import Question

START, END = "start", "end"
SpanLogits = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class QuestionWindow:
    """`row` has the graph's inputs, int64 [T], and the targets `start` and `end`, int64 []."""

    encoded: EncodedText
    row: TokenRow
    question: int  # its place in the split


def question_windows(questions: Sequence[Question], encoder: TextEncoder) -> list[QuestionWindow]:
    """Questions that leave no room for the passage have no window, and so no answer."""
    windows = []
    for number, one in enumerate(questions):
        try:
            encoded = encoder.encode_pair(one.question, one.context)
        except (TextEmpty, TextTooLong):
            continue
        windows += [QuestionWindow(each, _row(each, one), number) for each in encoded]
    return windows


def found_answers(
    windows: Sequence[QuestionWindow],
    logits: Sequence[SpanLogits],
    questions: int,
    *,
    max_answer_tokens: int,
    may_have_no_answer: bool,
) -> list[Found | None]:
    """The best span of each question, as the service would find it; None where it has no window."""
    gathered: list[list[SpanWindow]] = [[] for _ in range(questions)]
    for window, (start, end) in zip(windows, logits, strict=True):
        encoded = window.encoded
        gathered[window.question].append(SpanWindow(start, end, encoded.offsets, encoded.sequence))
    return [
        search(
            its_windows,
            max_answer_tokens=max_answer_tokens,
            may_have_no_answer=may_have_no_answer,
        )
        if its_windows
        else None
        for its_windows in gathered
    ]


def _row(encoded: EncodedText, question: Question) -> TokenRow:
    """The first of the right answers that the window holds is the target."""
    places = (
        answer_tokens(encoded.offsets, encoded.sequence, start, end)
        for start, end in question.answers
    )
    nothing = nothing_token(encoded.sequence)
    first, last = next((place for place in places if place is not None), (nothing, nothing))
    targets = {START: np.asarray(first, np.int64), END: np.asarray(last, np.int64)}
    return {**encoded.row, **targets}
