"""The mean of the weights is judged, kept and published; without a decay nothing of it is there."""

from typing import Any

import pytest
import torch
from torch import nn

from training.averaging import AveragedModule


class Module(AveragedModule):
    def __init__(self, decay: float) -> None:
        super().__init__()
        self.begin_average(nn.Linear(1, 1, bias=False), decay)
        self.put(0.0)

    def put(self, value: float) -> None:
        with torch.no_grad():
            self.network.get_parameter("weight").fill_(value)

    def value(self) -> float:
        return float(self.network.get_parameter("weight").detach())

    def steps(self, values: list[float]) -> None:
        for value in values:
            self.put(value)
            self.on_train_batch_end()


def mean_of(values: list[float], decay: float, first: float) -> float:
    mean = first
    for step, value in enumerate(values, start=1):
        kept = min(decay, (1 + step) / (10 + step))
        mean = kept * mean + (1 - kept) * value
    return mean


def test_mean_stands_in_for_the_weights_while_they_are_judged() -> None:
    module, values = Module(0.9), [float(n) for n in range(1, 30)]
    first = float(module.get_buffer("average_0"))
    module.steps(values)
    module.on_validation_start()
    assert module.value() == pytest.approx(mean_of(values, 0.9, first), rel=1e-4)
    module.on_validation_end()
    assert module.value() == 29


def test_mean_is_what_training_leaves() -> None:
    module = Module(0.5)
    first = float(module.get_buffer("average_0"))
    module.steps([1.0, 5.0, 9.0])
    module.on_train_end()
    assert module.value() == pytest.approx(mean_of([1.0, 5.0, 9.0], 0.5, first), rel=1e-5)


def test_mean_survives_a_checkpoint() -> None:
    one, other = Module(0.9), Module(0.9)
    one.steps([3.0, 4.0])
    state: dict[str, Any] = one.state_dict()
    other.load_state_dict(state)
    for module in (one, other):
        module.steps([7.0])
        module.on_train_end()
    assert one.value() == other.value()


def test_weights_are_left_alone_without_a_decay_and_before_the_first_step() -> None:
    plain = Module(0.0)
    plain.steps([2.0, 8.0])
    assert not any(name.startswith("average_") for name in plain.state_dict())
    fresh = Module(0.9)
    fresh.put(5.0)
    for module, value in ((plain, 8.0), (fresh, 5.0)):
        module.on_validation_start()
        assert module.value() == value
        module.on_validation_end()
        module.on_train_end()
        assert module.value() == value
