"""Layers given back: a graph in int8 that is over budget keeps its most harmful layers in floating point.

Each layer's harm is the error of a graph in which it alone is in int8, on rows that nobody is judged on. The
most harmful 1, 2, 4, … stay as they were until the budget holds, or until one is left in int8. Then as many
of the last that were added return to int8 as the budget allows: half of them, a quarter, … and single ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from training.optimizing.sessions import predict_of, session_of
from training.optimizing.subject import Subject
from training.optimizing.targets import Target
from training.work import Arrays

_MOST_SINGLE = 4  # layers that are tried one by one: each time all held-out rows are judged

Judge = Callable[[], str]
"""Why the target's file, as it is now, may not be published; empty: it may."""
Tell = Callable[[str], None]
Write = Callable[[Path, Sequence[str], Sequence[str]], None]
"""Write a graph: to a file, without some layers in int8, or with some of them alone."""


@dataclass(frozen=True)
class Found:
    """How a file came about, in words for the table."""

    calibrator: str
    layers: int
    left_alone: tuple[str, ...]

    def __str__(self) -> str:
        kept = f"{len(self.left_alone)} of {self.layers} layers in fp32" if self.left_alone else ""
        return ", ".join(part for part in (self.calibrator, kept) if part)


def layers(graph: onnx.GraphProto, op_types: Sequence[str]) -> list[str]:
    """Names of the nodes with weights, in order."""
    weights = {weight.name for weight in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type in op_types and any(name in weights for name in node.input[:2])
    ]


class Error:
    """Of a graph, against the reference's answers on `rows`."""

    def __init__(self, subject: Subject, target: Target, rows: Sequence[Arrays]) -> None:
        self._subject, self._target, self._rows = subject, target, rows
        self._expected: list[Arrays] | None = None

    def of(self, graph: Path) -> float:
        """Squared difference, as part of the answers' own square."""
        if self._expected is None:
            self._expected = self._answers(self._subject.graph)
        squares, differences = 0.0, 0.0
        for wanted, given in zip(self._expected, self._answers(graph), strict=True):
            for name, answer in wanted.items():
                if answer.dtype.kind == "f":
                    gap = given[name].astype(np.float64) - answer
                    squares += float(np.square(answer, dtype=np.float64).sum())
                    differences += float(np.square(gap).sum())
        return differences / squares if squares else differences

    def _answers(self, graph: Path) -> list[Arrays]:
        session = session_of(self._subject, self._target, graph)
        ask = predict_of(session)
        try:
            return [ask(batch) for batch in self._rows]
        finally:
            session.close()


def give_back(
    names: Sequence[str], target: Target, files: tuple[Path, Path], write: Write, error: Error,
    judge: Judge, tell: Tell,
) -> tuple[str, ...]:  # fmt: skip
    """Names of the layers left in floating point in the last graph that was written. `files`: the target's
    own, and one to try things in."""
    file, trial = files
    harm = {}
    for number, layer in enumerate(names, start=1):
        tell(f"{target.name}: harm of layer {number} of {len(names)}")
        write(trial, (), (layer,))
        harm[layer] = error.of(trial)
    order = sorted(names, key=lambda layer: -harm[layer])

    def holds(alone: Sequence[str]) -> bool:
        tell(f"{target.name}: {len(alone)} of {len(order)} layers in fp32")
        write(file, alone, ())
        return not judge()

    if len(order) < 2:
        return ()
    too_few, alone = 0, tuple(order[:1])
    while not holds(alone):
        if len(alone) >= len(order) - 1:
            return alone
        too_few, alone = len(alone), tuple(order[: min(2 * len(alone), len(order) - 1)])
    fewest = _fewest(alone, too_few, holds)
    write(file, fewest, ())
    return fewest


def _fewest(
    enough: tuple[str, ...], too_few: int, holds: Callable[[Sequence[str]], bool]
) -> tuple[str, ...]:
    """Of `enough` layers, by harm, of which the first `too_few` are not enough. What is left out returns to
    int8: most of the time is spent where values are widened and narrowed again."""
    high = len(enough)
    while high - too_few > 1:
        middle = (high + too_few) // 2
        if holds(enough[:middle]):
            high = middle
        else:
            too_few = middle
    kept = enough[:high]
    for layer in reversed(kept[-_MOST_SINGLE - 1 : -1]):  # without the last it does not hold
        fewer = tuple(one for one in kept if one != layer)
        if holds(fewer):
            kept = fewer
    return kept
