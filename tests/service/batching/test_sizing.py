"""How large batches get, once costs are known and before."""

import math
import random
from collections.abc import Callable

import pytest

from service.batching.cost import CostCurve
from service.batching.sizing import Bounds, Sizing
from service.batching.ticket import Ticket

Seconds = Callable[[float], float]

RESNET: Seconds = lambda rows: 0.023 * rows  # noqa: E731
GPU: Seconds = lambda rows: 0.004 + 0.0002 * rows  # noqa: E731
MLP: Seconds = lambda rows: 0.00003 + 0.000003 * rows  # noqa: E731
TILES: Seconds = lambda rows: 0.010 * math.ceil(rows / 4)  # noqa: E731


def serve(
    sizing: Sizing, seconds: Seconds, waiting: int, runs: int, noise: float = 0.05
) -> list[int]:
    """Closed loop: `waiting` rows wait at any time. Returns the batch sizes."""
    chance, sizes = random.Random(1), []
    for _ in range(runs):
        rows = sizing.rows(waiting, 1.0)
        sizing.curve.record(rows, 1.0, seconds(rows) * chance.uniform(1 - noise, 1 + noise))
        sizes.append(rows)
    return sizes


def fresh(most_rows: int = 32) -> Sizing:
    return Sizing(CostCurve(), most_rows)


def taught(seconds: Seconds, most_rows: int = 32) -> Sizing:
    sizing = fresh(most_rows)
    for rows in (1, 2, 4, 8, 3, 5, 6, 7, 16) * 6:
        sizing.curve.record(rows, 1.0, seconds(rows))
    return sizing


def test_nothing_is_limited_before_anything_was_measured() -> None:
    sizing = fresh(64)
    assert sizing.rows(50, 1.0) == 50
    assert sizing.rows(90, 1.0) == 64
    assert sizing.share(100, 4) == 100


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_a_network_that_gains_nothing_from_batches_gets_none(noise: float) -> None:
    sizes = serve(fresh(), RESNET, waiting=32, runs=300, noise=noise)
    assert sum(sizes[20:]) / 280 < 1.3
    assert sizes[0] == 32, "the first batch teaches"


@pytest.mark.parametrize("seconds", [GPU, MLP])
def test_a_model_that_gains_from_batches_gets_all_that_waits(seconds: Seconds) -> None:
    sizes = serve(fresh(), seconds, waiting=32, runs=300)
    assert min(sizes[10:]) >= 30


def test_a_model_first_seen_one_by_one_learns_what_batches_bring() -> None:
    sizing = fresh()
    serve(sizing, lambda rows: 0.030 + 0.0005 * rows, waiting=1, runs=100)
    assert max(serve(sizing, lambda rows: 0.030 + 0.0005 * rows, waiting=32, runs=30)) == 32


def test_a_machine_that_changed_is_learned_again() -> None:
    sizing = fresh()
    serve(sizing, GPU, waiting=32, runs=300)
    assert max(serve(sizing, RESNET, waiting=32, runs=1500)[-100:]) <= 4


def test_an_engine_that_computes_four_rows_at_a_time_gets_whole_fours() -> None:
    sizing = taught(TILES)
    assert [sizing.rows(waiting, 1.0) for waiting in (3, 4, 5, 6)] == [3, 4, 4, 4]


def test_where_a_row_costs_most_of_a_batch_free_workers_share() -> None:
    heavy, light = taught(RESNET), taught(MLP)
    assert heavy.share(8, 2) == 4
    assert heavy.share(1, 2) == 0.5, "one ticket is never cut, it goes as it is"
    assert heavy.rows(8, 1.0, Bounds(most_work=0.5)) == 1
    assert light.share(64, 2) == 64, "two trips would cost more than they save"


def test_a_run_stays_within_the_time_that_it_may_take() -> None:
    sizing = taught(GPU)
    assert sizing.rows(32, 1.0, Bounds(most_s=0.0062)) == 10
    assert sizing.rows(32, 1.0, Bounds(most_s=0.0001)) == 1, "one goes, whatever it takes"
    assert sizing.rows(4, 1.0, Bounds(most_s=math.inf)) == 4


def test_who_says_how_large_batches_are_gets_them() -> None:
    sizing = Sizing(taught(RESNET).curve, 32, learns=False)
    assert sizing.rows(20, 1.0) == 20
    assert sizing.rows(20, 1.0, Bounds(most_s=0.1)) == 4, "but a target bounds them"


def text(length: int) -> Ticket:
    ticket = Ticket({}, 1, arrived=0.0)
    ticket.lengths, ticket.work = (length,), float(length)
    return ticket


def test_company_joins_for_three_quarters_of_what_its_like_would_save() -> None:
    sizing = fresh()
    for rows, length in ((1, 10), (2, 10), (1, 50), (4, 20), (1, 100), (3, 40)) * 8:
        sizing.curve.record(rows, length, 0.0098 + 0.0001 * rows * length)
    run_s = sizing.curve.run_s
    for length, is_worth_it in ((10, True), (30, True), (40, False), (100, False)):
        # Ten tokens lead; a longer text makes the first longer by the difference.
        joined_s = run_s(2, max(length, 10))
        assert sizing.joins(run_s(1, 10), joined_s, text(length)) == is_worth_it


def test_nobody_joins_a_batch_that_takes_far_longer_than_the_saved_part() -> None:
    sizing = fresh()
    for rows, length in ((1, 10), (2, 10), (1, 500), (4, 20), (1, 100), (3, 400)) * 8:
        sizing.curve.record(rows, length, 0.0008 + 0.0001 * rows * length)
    run_s = sizing.curve.run_s
    assert sizing.joins(run_s(5, 10), run_s(6, 10), text(10))
    assert not sizing.joins(run_s(12, 10), run_s(13, 10), text(10))
