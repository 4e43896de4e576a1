"""What is learned from runs, and what follows for batches."""

import math
import random
from collections.abc import Callable

import pytest

from service.batching.cost import BatchCost

Seconds = Callable[[float], float]

RESNET: Seconds = lambda rows: 0.023 * rows  # noqa: E731
GPU: Seconds = lambda rows: 0.004 + 0.0002 * rows  # noqa: E731
MLP: Seconds = lambda rows: 0.00003 + 0.000003 * rows  # noqa: E731


def serve(
    cost: BatchCost, seconds: Seconds, waiting: int, runs: int, noise: float = 0.05
) -> list[int]:
    """Closed loop: `waiting` rows wait at any time. Returns the batch sizes."""
    chance, sizes = random.Random(1), []
    for _ in range(runs):
        rows = max(1, int(min(waiting, cost.most_work())))
        cost.record(rows, seconds(rows) * chance.uniform(1 - noise, 1 + noise))
        sizes.append(rows)
    return sizes


def test_nothing_is_limited_before_anything_was_measured() -> None:
    cost = BatchCost()
    assert cost.most_work() == math.inf
    assert cost.spare_work() is None
    assert cost.share(100, 4) == 100


def test_fixed_part_and_slope_are_told_apart() -> None:
    cost = BatchCost()
    for tokens in (8, 16, 32, 64, 128, 24, 48):
        cost.record(tokens, 0.0013 + 0.000128 * tokens)
    assert cost.slope_s == pytest.approx(0.000128)
    assert cost.fixed_s == pytest.approx(0.0013 + 0.0002)
    assert cost.spare_work() == pytest.approx(0.0015 / 0.000128 / 4)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_a_network_that_gains_nothing_from_batches_gets_none(noise: float) -> None:
    sizes = serve(BatchCost(), RESNET, waiting=32, runs=300, noise=noise)
    assert sum(sizes[20:]) / 280 < 1.3
    assert sizes[0] == 32, "the first batch teaches"


@pytest.mark.parametrize("seconds", [GPU, MLP])
def test_a_model_that_gains_from_batches_gets_all_that_waits(seconds: Seconds) -> None:
    sizes = serve(BatchCost(), seconds, waiting=32, runs=300)
    assert min(sizes[10:]) >= 30


def test_a_model_first_seen_one_by_one_learns_what_batches_bring() -> None:
    cost = BatchCost()
    serve(cost, lambda rows: 0.030 + 0.0005 * rows, waiting=1, runs=100)
    assert max(serve(cost, lambda rows: 0.030 + 0.0005 * rows, waiting=32, runs=30)) == 32


def test_a_machine_that_changed_is_learned_again() -> None:
    cost = BatchCost()
    serve(cost, GPU, waiting=32, runs=300)
    assert max(serve(cost, RESNET, waiting=32, runs=1500)[-100:]) <= 4


def test_free_workers_share_what_is_worth_a_trip() -> None:
    heavy, light = BatchCost(), BatchCost()
    for rows in (1, 2, 1, 4, 1, 2, 8):
        heavy.record(rows, RESNET(rows))
        light.record(rows, MLP(rows))
    assert heavy.share(8, 2) == 4
    assert heavy.share(1, 2) == 0.5, "one ticket is never cut, it goes as it is"
    assert light.share(64, 2) == 64, "two trips would cost more than they save"
