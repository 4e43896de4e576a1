"""Greedy and beam search over a whole set of sources, through a `Predict`.

The reference that a serving engine is compared with, token by token: it holds no cache, every step
reads the answers so far anew, and one source's answer never depends on its neighbours beyond what the
arithmetic of a batch does. Letters: N sources, R rows of a step, T tokens so far, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.transforms.beams import Beam, BeamSearch
from models.transforms.scores import log_softmax
from training.data.token_loader import pad_rows
from training.networks.cross_plan import first_answers
from training.networks.seq2seq import SlotSizes
from training.work import Arrays, Predict

Tokens = NDArray[np.int64]
# Which source each row answers, int64 [R], and the answers so far with their start, int64 [R, T]
# → logits float32 [R, V].
Step = Callable[[Tokens, Tokens], NDArray[np.float32]]
Answers = list[tuple[int, ...]]


@dataclass(frozen=True)
class Writing:
    """How answers begin, end and are chosen. One beam is greedy search."""

    start: int
    stop: tuple[int, ...]
    max_tokens: int
    num_beams: int = 1
    length_penalty: float = 1.0


def write(
    sources: Sequence[Tokens],
    predict: Predict,
    sizes: SlotSizes,
    writing: Writing,
    batch_rows: int = 64,
) -> Answers:
    """The answer to each source, without start and stop. Sources of like length share a batch."""
    order = np.argsort([len(source) for source in sources], kind="stable").tolist()
    count = max(1, batch_rows // writing.num_beams)
    answers: dict[int, tuple[int, ...]] = {}
    for begin in range(0, len(order), count):
        chosen = order[begin : begin + count]
        step = source_step([sources[row] for row in chosen], predict, sizes)
        found = search(step, len(chosen), writing)
        answers |= {row: beam.tokens for row, beam in zip(chosen, found, strict=True)}
    return [answers[row] for row in range(len(sources))]


def source_step(sources: Sequence[Tokens], predict: Predict, sizes: SlotSizes) -> Step:
    """Read the sources once; the step then writes from what they left."""
    ids, mask = pad_rows(sources)
    cross = predict({"input_ids": ids, "attention_mask": mask})
    lengths = mask.sum(axis=1).astype(np.int32)

    def step(rows: Tokens, answers: Tokens) -> NDArray[np.float32]:
        inputs: Arrays = {
            **first_answers(answers, sizes, last_only=True),
            "cross_lengths": lengths[rows],
            **{name: side[rows] for name, side in cross.items()},
        }
        return predict(inputs)["logits"].astype(np.float32)

    return step


def search(step: Step, count: int, writing: Writing) -> list[Beam]:
    """The best answer to each of `count` sources."""
    if writing.num_beams == 1:
        return _greedy(step, count, writing)
    searches = [
        BeamSearch(writing.num_beams, writing.length_penalty, writing.stop, writing.max_tokens)
        for _ in range(count)
    ]
    while live := [number for number, search in enumerate(searches) if not search.is_done]:
        rows = np.repeat(live, [len(searches[number].live) for number in live])
        tokens = [
            (writing.start, *beam.tokens) for number in live for beam in searches[number].live
        ]
        chances = log_softmax(step(rows, np.array(tokens, np.int64)))
        for number in live:
            searches[number].advance(chances[rows == number])
    return [search.best for search in searches]


def _greedy(step: Step, count: int, writing: Writing) -> list[Beam]:
    """The likeliest token each time, the lower one among equals. Scores are left at 0."""
    answers = np.full((count, 1), writing.start, np.int64)
    ended: dict[int, Beam] = {}
    live = np.arange(count)
    while len(live):
        tokens = step(live, answers).argmax(axis=-1)
        answers = np.concatenate([answers, tokens[:, np.newaxis]], axis=1)
        has_stopped = np.isin(tokens, writing.stop)
        is_over = has_stopped | (answers.shape[1] > writing.max_tokens)
        for row in np.flatnonzero(is_over):
            end = -1 if has_stopped[row] else None
            ended[int(live[row])] = Beam(
                tuple(answers[row, 1:end].tolist()), 0.0, bool(has_stopped[row])
            )
        live, answers = live[~is_over], answers[~is_over]
    return [ended[number] for number in range(count)]


def lost_lead(step: Step, writing: Writing, mine: Sequence[Beam], others: Sequence[Beam]) -> float:
    """How far the greedy answers of another side depart from this side's, `mine`, to the same sources:
    the largest lead, in logits, of this side's likeliest token over the one that was taken at the first
    place where they part. 0 where they nowhere part; a tie within rounding is a tiny number."""
    worst = 0.0
    for number, (beam, other) in enumerate(zip(mine, others, strict=True)):
        if beam == other:
            continue
        tokens, theirs = beam.tokens, other.tokens
        same = next(
            (i for i, (a, b) in enumerate(zip(tokens, theirs, strict=False)) if a != b),
            min(len(tokens), len(theirs)),
        )
        prefix = np.array([[writing.start, *theirs[:same]]], np.int64)
        logits = step(np.array([number]), prefix)[0]
        taken = [theirs[same]] if same < len(theirs) else list(writing.stop)
        worst = max(worst, float(logits.max() - logits[taken].max()))
    return worst
