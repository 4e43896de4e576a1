"""One split asked through one callable is asked once."""

from collections.abc import Mapping

import numpy as np

from training.remembered import Remembered
from training.work import Array, Arrays


def one(inputs: Mapping[str, Array]) -> Arrays:
    return dict(inputs)


def other(inputs: Mapping[str, Array]) -> Arrays:
    return {name: -array for name, array in inputs.items()}


class Asked:
    def __init__(self) -> None:
        self.remembered: Remembered[float] = Remembered()
        self.count = 0

    def __call__(self, split: str, predict: object) -> float:
        def ask() -> float:
            self.count += 1
            assert callable(predict)
            return float(predict({"x": np.float32(len(split))})["x"])

        return self.remembered.get(split, predict, ask)  # type: ignore[arg-type]


def test_the_same_question_is_asked_once() -> None:
    asked = Asked()
    assert [asked("test", one), asked("test", one)] == [4, 4]
    assert asked.count == 1


def test_splits_are_kept_apart() -> None:
    asked = Asked()
    assert [asked("test", one), asked("train", one), asked("test", one)] == [4, 5, 4]
    assert asked.count == 2


def test_another_callable_is_asked_itself() -> None:
    asked = Asked()
    assert [asked("test", one), asked("test", other), asked("test", one)] == [4, -4, 4]
    assert asked.count == 3
