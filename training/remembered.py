"""Answers kept for as long as the same is asked: figures, plots and tables look at one split several times.

Used by works whose held-out splits are large beside their training: one pass over 10,000 sentences costs as
much as a tenth of learning from 20,000.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from training.work import Predict

T = TypeVar("T")


class Remembered(Generic[T]):
    """The last answers to each split, of one callable; another callable begins anew.

    The callable is kept and compared by identity, so one whose weights change must not be asked again.
    """

    def __init__(self) -> None:
        self._predict: Predict | None = None
        self._answers: dict[str, T] = {}

    def get(self, split: str, predict: Predict, ask: Callable[[], T]) -> T:
        """What `ask` answered when it was last needed for this split and callable."""
        if predict is not self._predict:
            self._predict, self._answers = predict, {}
        if split not in self._answers:
            self._answers[split] = ask()
        return self._answers[split]
