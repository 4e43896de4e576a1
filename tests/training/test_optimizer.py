"""Schedules rise, peak and fall where they say, and decay spares biases."""

import pytest
import torch
from torch import nn

from training.config import OptimConfig
from training.optimizer import configure, learning_rate_factor

STEPS = 100


@pytest.mark.parametrize(
    ("schedule", "end"), [("constant", 1.0), ("cosine", 0.1), ("one_cycle", 0.0)]
)
def test_a_schedule_rises_to_one_and_ends_where_it_says(schedule: str, end: float) -> None:
    config = OptimConfig.model_validate({"schedule": schedule, "warmup_fraction": 0.2})
    factors = [learning_rate_factor(config, step, STEPS) for step in range(STEPS + 1)]
    assert factors[0] == pytest.approx(1 / 20)
    assert max(factors) == factors[20] == 1.0
    assert factors[-1] == pytest.approx(end)
    assert factors[20:] == sorted(factors[20:], reverse=True)


def test_without_warm_up_the_first_step_is_full() -> None:
    assert learning_rate_factor(OptimConfig(warmup_fraction=0), 0, STEPS) == 1.0


def test_steps_beyond_the_plan_keep_the_last_rate() -> None:
    config = OptimConfig(schedule="cosine")
    assert learning_rate_factor(config, 10 * STEPS, STEPS) == pytest.approx(0.1)


def test_decay_is_for_matrices_and_every_weight_is_trained_once() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    optimizer = configure(network, OptimConfig(weight_decay=0.3), STEPS)["optimizer"]
    assert isinstance(optimizer, torch.optim.AdamW)
    groups = {group["weight_decay"]: group["params"] for group in optimizer.param_groups}
    assert all(weight.ndim >= 2 for weight in groups[0.3])
    assert all(weight.ndim < 2 for weight in groups[0.0])
    assert sum(map(len, groups.values())) == len(list(network.parameters()))
