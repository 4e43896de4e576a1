"""A simulated pod is the queue that theory knows, and batches and refuses as the server does."""

import random

import pytest
import simpy

from benchmarks.scaling.arrivals import poisson
from benchmarks.scaling.closed_forms import md1_wait_s, mm1_wait_s, mmc_wait_s
from benchmarks.scaling.cluster import Setup, simulate
from benchmarks.scaling.curve import LEVELS, Curve, Profile
from benchmarks.scaling.ledger import Ledger
from benchmarks.scaling.pod import SimulatedPod

PATIENT_S = 1e6  # nobody is refused
TOLERANCE = 0.08  # of the mean wait: tens of thousands of requests that depend on each other


class Exponential(Curve):
    """Run times without memory, for the queues whose answers are known."""

    def draw(self, rows: int, chance: random.Random) -> float:
        return chance.expovariate(1 / self.mean_s(rows))


def wait_s(curve: Curve, rate: float, seconds: float, workers: int = 1) -> float:
    profile = Profile("m", "", curve, workers=workers, max_queue_wait_s=PATIENT_S)
    outcome = simulate(Setup(profile, poisson(rate, seconds), seconds, warm_s=seconds / 20))
    assert outcome.refused == 0
    return outcome.wait_mean_s


@pytest.mark.parametrize("busy", [0.5, 0.8])
def test_equal_runs_wait_as_in_m_d_1(busy: float) -> None:
    found = wait_s(Curve.exactly(0.01, 0, 1), busy * 100, 600)
    assert found == pytest.approx(md1_wait_s(busy * 100, 100), rel=TOLERANCE)


@pytest.mark.parametrize("busy", [0.5, 0.8])
def test_exponential_runs_wait_as_in_m_m_1(busy: float) -> None:
    curve = Exponential((1,), ((0.01,) * len(LEVELS),))
    assert wait_s(curve, busy * 100, 900) == pytest.approx(
        mm1_wait_s(busy * 100, 100), rel=TOLERANCE
    )


@pytest.mark.parametrize(("workers", "busy"), [(2, 0.7), (4, 0.8)])
def test_several_workers_wait_as_erlang_says(workers: int, busy: float) -> None:
    rate = workers * busy * 100
    curve = Exponential((1,), ((0.01,) * len(LEVELS),))
    found = wait_s(curve, rate, 40_000 / rate, workers)
    assert found == pytest.approx(mmc_wait_s(rate, 100, workers), rel=2 * TOLERANCE)


def overloaded(curve: Curve, most_rows: int, rate: float) -> tuple[float, float, float]:
    """Rows per run, answers per second, 99th percentile."""
    profile = Profile("m", "", curve, max_batch_size=most_rows)
    outcome = simulate(Setup(profile, poisson(rate, 20), 20, warm_s=5))
    return outcome.rows_per_run, outcome.answers_per_s, outcome.p99_s


def test_batches_grow_only_where_that_pays() -> None:
    gains, answers, _ = overloaded(Curve.exactly(0.005, 0.0002, 32), 32, 3000)
    assert gains > 20
    assert answers > 2000  # one by one it would be 192
    loses, answers, _ = overloaded(Curve.exactly(0, 0.005, 32), 32, 600)
    assert loses < 1.3
    assert answers == pytest.approx(200, rel=0.05)


def test_the_queue_is_bounded_by_the_expected_wait() -> None:
    curve = Curve.exactly(0, 0.001, 1)
    _, answers, p99_s = overloaded(curve, 1, 3000)
    assert answers == pytest.approx(1000, rel=0.05)
    assert 0.05 < p99_s < 0.1  # 75 ms and the run


def test_the_event_loop_reads_one_request_after_the_other() -> None:
    profile = Profile("m", "", Curve.exactly(0.0001, 0, 1), frontend_s=0.01, max_queue_wait_s=1e6)
    outcome = simulate(Setup(profile, poisson(50, 200), 200, warm_s=10))
    expected_s = 0.01 + md1_wait_s(50, 100) + 0.0001
    mean_s = outcome.p50_s
    assert 0.01 < mean_s < 2 * expected_s
    assert outcome.in_flight_per_pod == pytest.approx(50 * expected_s, rel=0.3)


def test_what_is_in_flight_is_what_was_not_answered_yet() -> None:
    env, ledger = simpy.Environment(), Ledger()
    profile = Profile("m", "", Curve.exactly(1.0, 0, 1), rest_s=0.5)
    pod = SimulatedPod(env, profile, ledger, random.Random(1))
    for _ in range(3):
        ledger.arrive(env.now)
        pod.submit()
    seen = []
    for moment in (0.9, 1.6, 2.6, 3.6):
        env.run(until=moment)
        seen.append(pod.in_flight)
        assert pod.in_flight == ledger.under_way
    assert seen == [3, 2, 1, 0]
