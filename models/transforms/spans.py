"""Start and end logits of tokens → the answer's place in the context. Letters: T tokens, S spans.

Windows of one context are judged together, by their logits as they are: a window's own softmax would let
a window without the answer be as sure as the one that has it (Clark and Gardner 2018, arXiv:1710.10723).
The score of a place is its share of exp(start + end) among all spans that are allowed, in all windows,
and `nothing` where a model may say so; several tokens may stand at one place, as the bytes of an emoji
do. `Nothing` is what the logits of a window's first special token say; of several windows the one that
doubts it most counts, because the others do not hold the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CONTEXT = 1  # in EncodedText.sequence
SPECIAL = -1


class Answer(NamedTuple):
    """Characters `start` … `end` − 1 of the context. `logit` is the sum of both logits."""

    start: int
    end: int
    score: float
    logit: float


@dataclass(frozen=True, slots=True)
class SpanWindow:
    """One window's outputs and where its tokens stand: logits float [T] twice, `offsets` int [T, 2] in
    the characters of the context, `sequence` int [T] as in EncodedText."""

    start_logits: np.ndarray
    end_logits: np.ndarray
    offsets: np.ndarray
    sequence: np.ndarray


@dataclass(frozen=True, slots=True)
class Found:
    """`answers` best first, none overlapping a better one. `nothing_lead` is by how much `nothing` is
    ahead of the best span, in logits; −inf where the model cannot say it."""

    answers: list[Answer]
    nothing_lead: float
    nothing_score: float


def search(
    windows: Sequence[SpanWindow],
    *,
    max_answer_tokens: int,
    top_k: int = 1,
    may_have_no_answer: bool = False,
    temperature: float = 1.0,
) -> Found:
    """The best spans of all windows: within the context, not longer than `max_answer_tokens`."""
    found = [_spans(window, max_answer_tokens) for window in windows]
    starts, ends = (np.concatenate([spans[n] for spans in found]) for n in (0, 1))
    logits = np.concatenate([spans[2] for spans in found])
    if not logits.size:  # no token of the context has a place
        return Found([], np.inf, 1.0)
    best = float(logits.max())
    nothing = min(map(_nothing, windows)) if may_have_no_answer else -np.inf
    highest = max(best, nothing)
    shares = np.exp((logits - highest) / temperature)
    of_nothing = float(np.exp((nothing - highest) / temperature))
    total = float(shares.sum()) + of_nothing
    answers: list[Answer] = []
    for position in np.argsort(-logits, kind="stable"):
        if len(answers) == top_k:
            break
        start, end = int(starts[position]), int(ends[position])
        if all(end <= other.start or start >= other.end for other in answers):
            share = float(shares[(starts == start) & (ends == end)].sum()) / total
            answers.append(Answer(start, end, min(1.0, share), float(logits[position])))
    return Found(answers, nothing - best, of_nothing / total)


def answer_tokens(
    offsets: np.ndarray, sequence: np.ndarray, start: int, end: int
) -> tuple[int, int] | None:
    """(first, last) token of the characters `start` … `end` − 1 of the context; None where the window
    does not hold all of them."""
    inside = np.flatnonzero((sequence == CONTEXT) & (offsets[:, 1] > offsets[:, 0]))
    if not inside.size or start < offsets[inside[0], 0] or end > offsets[inside[-1], 1]:
        return None
    touching = inside[(offsets[inside, 1] > start) & (offsets[inside, 0] < end)]
    return (int(touching[0]), int(touching[-1])) if touching.size else None


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The same characters without spaces at either end; tokenizers may count those to a token."""
    piece = text[start:end]
    if not piece.strip():
        return start, end
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def nothing_token(sequence: np.ndarray) -> int:
    """The token that stands for `nothing`: the first special one, or the first of all."""
    special = np.flatnonzero(sequence == SPECIAL)
    return int(special[0]) if special.size else 0


def _nothing(window: SpanWindow) -> float:
    token = nothing_token(window.sequence)
    return float(window.start_logits[token]) + float(window.end_logits[token])


def _spans(window: SpanWindow, max_answer_tokens: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(start, end, logit) of every span of the context that is not too long, each [S]: int64 places in
    its characters, float64 sums of both logits."""
    tokens = np.flatnonzero(
        (window.sequence == CONTEXT) & (window.offsets[:, 1] > window.offsets[:, 0])
    )
    count = len(tokens)
    longest = min(max_answer_tokens, count)
    first = np.concatenate([np.arange(count - more) for more in range(longest)] or [tokens])
    last = np.concatenate([np.arange(more, count) for more in range(longest)] or [tokens])
    opening = window.start_logits[tokens].astype(np.float64)
    closing = window.end_logits[tokens].astype(np.float64)
    return (
        window.offsets[tokens, 0][first],
        window.offsets[tokens, 1][last],
        opening[first] + closing[last],
    )
