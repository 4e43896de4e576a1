"""Many pods: no request is lost, the same seed tells the same story, capacity comes late and goes slowly."""

from dataclasses import replace

import pytest

from benchmarks.scaling.arrivals import bursty, poisson, stepped
from benchmarks.scaling.autoscaler import Scaling
from benchmarks.scaling.cluster import Cluster, ColdStart, Setup, least_pods, simulate
from benchmarks.scaling.curve import Curve, Profile

PROFILE = Profile("m", "", Curve.exactly(0.0, 0.02, 4), max_batch_size=4, frontend_s=0.001)
STEP = Setup(
    PROFILE,
    stepped([(30, 40), (150, 240), (600, 20)]),
    780,
    pods=2,
    scaling=Scaling(most=9, target_in_flight=2),
)


@pytest.mark.parametrize(
    "setup",
    [
        STEP,
        replace(STEP, choices=2, seconds=200),
        Setup(PROFILE, poisson(400, 20), 20, pods=2),
        Setup(PROFILE, bursty(100, 5, 2, 8, 60), 60, pods=3, choices=3),
    ],
    ids=["scaled", "scaled, two choices", "overloaded", "bursts"],
)
def test_no_request_is_lost(setup: Setup) -> None:
    cluster = Cluster(setup, 5)
    cluster.run()
    ledger = cluster.ledger
    assert ledger.arrived > 1000
    pods = [*cluster.ready, *cluster.leaving]
    assert ledger.under_way == sum(pod.in_flight for pod in pods)
    assert ledger.arrived == ledger.answered + ledger.refused + ledger.under_way


def test_everything_that_was_accepted_is_answered_in_the_end() -> None:
    setup = Setup(PROFILE, poisson(200, 10), 60, pods=2)
    cluster = Cluster(setup, 1)
    outcome = cluster.run()
    assert cluster.ledger.under_way == 0
    assert cluster.ledger.answered == outcome.arrived - outcome.refused


def test_the_same_seed_gives_the_same_outcome() -> None:
    setup = replace(STEP, seconds=200)
    assert simulate(setup, 7) == simulate(setup, 7)
    assert simulate(setup, 7) != simulate(setup, 8)


def test_pods_stay_within_the_bounds_and_follow_the_load() -> None:
    cluster, seen = Cluster(STEP, 3), []

    def watch() -> None:
        seen.append((cluster.env.now, cluster.asked_for, len(cluster.ready)))

    for second in range(1, 780):
        cluster.env.timeout(second).callbacks.append(lambda _: watch())
    cluster.run()
    assert all(2 <= asked <= 9 for _, asked, _ in seen)
    assert max(asked for when, asked, _ in seen if when < 180) >= 5
    assert all(ready <= asked for _, asked, ready in seen)
    assert seen[-1][1] < max(asked for _, asked, _ in seen), "fewer again when it is calm"


def test_capacity_comes_after_scrape_decision_and_cold_start() -> None:
    setup = replace(STEP, seconds=180, cold=ColdStart(before_s=60, probe_s=0))
    cluster, ready_at = Cluster(setup, 3), []

    def watch() -> None:
        if len(cluster.ready) > 2:
            ready_at.append(cluster.env.now)

    for second in range(1, 180):
        cluster.env.timeout(second).callbacks.append(lambda _: watch())
    outcome = cluster.run()
    assert 90 <= ready_at[0] <= 30 + 15 + 15 + 60 + 2
    assert outcome.refused > simulate(replace(setup, cold=ColdStart(1, 0)), 3).refused


def test_the_better_of_two_waits_less_than_any() -> None:
    setup = Setup(PROFILE, poisson(425, 60), 60, pods=10, warm_s=5)
    assert simulate(replace(setup, choices=2)).p99_s < 0.7 * simulate(setup).p99_s


def test_without_a_ready_pod_requests_are_refused() -> None:
    setup = Setup(PROFILE, poisson(10, 10), 10, pods=0)
    outcome = simulate(setup)
    assert outcome.refused == outcome.arrived > 50


@pytest.mark.parametrize("first", [1, 3, 7])
def test_the_fewest_pods_that_are_enough_are_found(first: int) -> None:
    assert least_pods(lambda pods: pods >= 7, first) == 7
