"""The questions, each a table of docs/scaling.md. All of it is simulated, but the held-out loads beside it.

Numbers that nobody measured stand in `Assumed`, and on the page.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.scaling.arrivals import bursty, poisson, stepped
from benchmarks.scaling.autoscaler import Scaling
from benchmarks.scaling.cluster import ColdStart, Outcome, Setup, least_pods, simulate
from benchmarks.scaling.curve import Measured, Pod, Profile, rounded

Row = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Assumed:
    """Not measured, and to be replaced by whoever knows better. `pod_hour_price`: one core and 1 GiB, on
    demand. The objective is the chart's own: so many seconds for 99 in 100, at most so many refused.
    `most_busy`: of saturation, however well a short simulation goes."""

    pod_hour_price: float = 0.05
    objective_s: float = 0.25
    refused_share: float = 0.001
    cell_requests_per_s: float = 10_000.0
    most_busy: float = 0.9
    warm_node_s: float = 5.0
    new_node_s: float = 90.0


@dataclass(frozen=True)
class Simulated:
    """`tables`: name → rows, as the page shows them."""

    measured_on: str
    assumed: Assumed
    capacity: dict[str, float]
    tables: dict[str, list[Row]]

    def write(self, target: Path) -> None:
        text = json.dumps(rounded(asdict(self)), indent=1, ensure_ascii=False)
        target.write_text(text + "\n")

    @staticmethod
    def read(source: Path) -> "Simulated":
        content = json.loads(source.read_text())
        return Simulated(**{**content, "assumed": Assumed(**content["assumed"])})


def perform(measured: Measured, say: Say) -> Simulated:
    """Everything, in minutes. The same measurements give the same figures."""
    assumed = Assumed()
    capacity = {pod.profile.name: saturation(pod.profile) for pod in measured.pods}
    slow = measured.pods[0].profile
    tables: dict[str, list[Row]] = {}
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "validation": lambda: (row for pod in measured.pods for row in validation(pod)),
        "one_pod": lambda: (row for pod in measured.pods for row in one_pod(pod.profile, capacity)),
        "target": lambda: all_targets(measured, capacity),
        "cold": lambda: cold_starts(slow, capacity, assumed),
        "balancing": lambda: balancing(slow, capacity),
        "scale": lambda: scale(slow, capacity, assumed),
        "cells": lambda: cells(slow, capacity, assumed),
    }
    for name, rows in parts.items():
        tables[name] = []
        for row in rows():
            say(f"{name}: {rounded(row)}")
            tables[name].append(row)
    return Simulated(str(measured.machine["date"]), assumed, capacity, tables)


def saturation(profile: Profile) -> float:
    """Answers per second of a pod that has far too much to do: what it can, front end included."""
    most = profile.curve.most_per_s(profile.max_batch_size) * profile.workers
    if profile.frontend_s:
        most = min(most, 1 / profile.frontend_s)
    return simulate(Setup(profile, poisson(1.5 * most, 30), 30, warm_s=5)).answers_per_s


# -- against reality ------------------------------------------------------------------------------


def validation(pod: Pod, seconds: float = 120.0) -> Iterator[Row]:
    """Loads that the curve knows nothing of: measured (median of rounds, lowest and highest) and foretold."""
    for held in pod.held:
        rate = sum(sample.rate for sample in held.rounds) / len(held.rounds)
        outcome = simulate(Setup(pod.profile, poisson(rate, seconds), seconds, warm_s=2))
        foretold = {
            "goodput": outcome.answers_per_s,
            "p50_ms": outcome.p50_s * 1e3,
            "p99_ms": outcome.p99_s * 1e3,
            "refused_share": outcome.refused_share,
            "rows_per_run": outcome.rows_per_run,
        }
        for figure, value in foretold.items():
            seen = sorted(float(getattr(sample, figure)) for sample in held.rounds)
            middle = (seen[(len(seen) - 1) // 2] + seen[len(seen) // 2]) / 2
            yield {
                "pod": pod.profile.name,
                "share": held.share,
                "rate": rate,
                "figure": figure,
                "measured": middle,
                "lowest": seen[0],
                "highest": seen[-1],
                "simulated": value,
                "error": value / middle - 1 if middle else None,
            }


# -- one pod --------------------------------------------------------------------------------------


def one_pod(profile: Profile, capacity: dict[str, float]) -> Iterator[Row]:
    """What being busy costs, for arrivals at random and for arrivals in bursts."""
    most = capacity[profile.name]
    seconds = _long(most, 40_000)
    for share in (0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.5):
        row: Row = {"pod": profile.name, "share": share}
        for name, arrivals in (
            ("poisson", poisson(most * share, seconds)),
            ("bursty", bursty(most * share, 3.0, 0.5, 2.0, seconds)),
        ):
            outcome = simulate(Setup(profile, arrivals, seconds, warm_s=2))
            row[name] = _short(outcome)
        yield row


def _short(outcome: Outcome) -> Row:
    return {
        "p50_ms": outcome.p50_s * 1e3,
        "p99_ms": outcome.p99_s * 1e3,
        "refused_share": outcome.refused_share,
        "in_flight": outcome.in_flight_per_pod,
        "rows_per_run": outcome.rows_per_run,
    }


def _long(rate: float, requests: float) -> float:
    """Seconds in which about so many requests arrive; forty at least."""
    return max(40.0, math.ceil(requests / rate))


# -- the autoscaler's target ----------------------------------------------------------------------

TARGETS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0)
_AFFORDABLE_PER_S = 40.0
_SEEDS = 3  # what goes wrong once in a quarter of an hour should be seen
_WAIT_P95_S = 0.05  # the chart's second trigger


def targets(profile: Profile, most: float) -> Iterator[Row]:
    """`most`: what a pod can. The load of three full pods for a long time: how many pods does the autoscaler
    keep, and does that suffice? And that load within one moment after a third of it: who is refused? Quick
    models are slowed down, and so are waits."""
    slower = max(1.0, most / _AFFORDABLE_PER_S)
    profile, most = profile.slowed(slower), most / slower
    steady = Setup(profile, poisson(3 * most, 900.0), 900.0, pods=4, warm_s=450.0)
    steps = stepped([(45.0, most), (180.0, 3 * most)])
    step = Setup(profile, steps, 225.0, pods=2, warm_s=5)
    for target in TARGETS:
        scaling = Scaling(most=30, target_in_flight=target)
        watching = replace(scaling, queue_wait_p95_s=_WAIT_P95_S * slower)
        kept = [simulate(replace(steady, scaling=scaling), seed) for seed in range(_SEEDS)]
        pods = sum(one.pods for one in kept) / _SEEDS
        late = simulate(replace(step, scaling=scaling))
        watched = simulate(replace(step, scaling=watching))
        yield {
            "pod": profile.name,
            "workers": profile.workers,
            "target": target,
            "slower": slower,
            "pods": pods,
            "busy_share": 3 / pods,
            "p99_ms": sum(one.p99_s for one in kept) / _SEEDS / slower * 1e3,
            "refused_share": sum(one.refused for one in kept) / sum(one.arrived for one in kept),
            "step_refused": late.refused_share,
            "step_pods": late.most_pods,
            "watched_refused": watched.refused_share,
            "watched_pods": watched.most_pods,
        }


def best_targets(rows: list[Row], assumed: Assumed) -> Iterator[Row]:
    """Of each pod, the row with the fewest pods that keeps the objective under the steady load."""
    for kind in dict.fromkeys((row["pod"], row["workers"]) for row in rows):
        good = [
            row
            for row in rows
            if (row["pod"], row["workers"]) == kind
            and row["refused_share"] <= assumed.refused_share
            and row["p99_ms"] <= assumed.objective_s * 1e3
        ]
        yield min(good, key=lambda row: float(row["pods"]))


def all_targets(measured: Measured, capacity: dict[str, float]) -> Iterator[Row]:
    """The measured pods, and the first model's with two workers, which is what the chart's two cores start
    (supposing that their runs do not disturb each other)."""
    for pod in measured.pods:
        yield from targets(pod.profile, capacity[pod.profile.name])
    two = replace(measured.pods[0].profile, workers=2)
    yield from targets(two, saturation(two))


# -- being late -----------------------------------------------------------------------------------


def cold_starts(
    profile: Profile, capacity: dict[str, float], assumed: Assumed, target: float = 3.0
) -> Iterator[Row]:
    """Load grows at once, or within five minutes, while a pod takes so long to come."""
    most = capacity[profile.name]
    ramp = [(10.0, most * (1 + 0.1 * number)) for number in range(31)]
    for before_s in (assumed.warm_node_s, 30.0, assumed.new_node_s):
        row: Row = {"before_s": before_s, "whole_s": before_s + profile.start_s + 2.5}
        for name, steps in (
            ("double", [(30.0, most), (330.0, 2 * most)]),
            ("fourfold", [(30.0, most), (330.0, 4 * most)]),
            ("ramp", [(30.0, most), *ramp]),
        ):
            setup = Setup(
                profile,
                stepped(steps),
                360.0,
                pods=2,
                scaling=Scaling(most=30, target_in_flight=target),
                cold=ColdStart(before_s),
            )
            outcome = simulate(setup)
            row[name] = {
                "refused_share": outcome.refused_share,
                "refusing_s": outcome.refusing_s,
                "most_pods": outcome.most_pods,
            }
        yield row


# -- many pods ------------------------------------------------------------------------------------


def balancing(profile: Profile, capacity: dict[str, float]) -> Iterator[Row]:
    """Ten pods; who gets the next request?"""
    rate = 10 * capacity[profile.name]
    for share in (0.5, 0.7, 0.8, 0.9):
        row: Row = {"share": share}
        seconds = _long(rate, 40_000)
        for choices in (1, 2, 10):
            setup = Setup(
                profile, poisson(rate * share, seconds), seconds, pods=10, warm_s=2, choices=choices
            )
            outcome = simulate(setup)
            row[f"{choices}"] = {
                "p99_ms": outcome.p99_s * 1e3,
                "refused_share": outcome.refused_share,
            }
        yield row


def scale(profile: Profile, capacity: dict[str, float], assumed: Assumed) -> Iterator[Row]:
    """The fewest pods that keep the objective, and what they cost. Beyond one cell's rate a cell is
    simulated and the cells are counted."""
    for rate in (10.0, 1_000.0, 100_000.0):
        for choices in (1, 2):
            yield fleet(profile, capacity[profile.name], rate, choices, assumed)


def fleet(profile: Profile, most: float, rate: float, choices: int, assumed: Assumed) -> Row:
    """`N + 1`: of pods below one cell's rate, of cells beyond it. Every cell then has what it needs when one
    is gone; the row's cost includes the spare."""
    cell_rate = min(rate, assumed.cell_requests_per_s)
    needed = math.ceil(rate / cell_rate)
    seconds = min(600.0, max(6.0, 40_000 / cell_rate))

    def outcome_of(pods: int) -> Outcome:
        arrivals = poisson(cell_rate, seconds)
        warm_s = seconds / 6
        return simulate(Setup(profile, arrivals, seconds, pods, warm_s, choices))

    def enough(pods: int) -> bool:
        outcome = outcome_of(pods)
        is_quick = outcome.p99_s <= assumed.objective_s
        return is_quick and outcome.refused_share <= assumed.refused_share

    pods = least_pods(enough, math.ceil(cell_rate / (assumed.most_busy * most)))
    outcome = outcome_of(pods)
    all_pods = pods * (needed + 1) if needed > 1 else pods + 1
    return {
        "rate": rate,
        "choices": choices,
        "cells": needed + 1 if needed > 1 else 1,
        "pods_per_cell": pods if needed > 1 else all_pods,
        "pods": all_pods,
        "busy_share": cell_rate / (pods * most),
        "p99_ms": outcome.p99_s * 1e3,
        "refused_share": outcome.refused_share,
        "pod_hours_per_million": all_pods / rate * 1e6 / 3600,
        "cost_per_million": all_pods / rate * 1e6 / 3600 * assumed.pod_hour_price,
    }


def cells(
    profile: Profile, capacity: dict[str, float], assumed: Assumed, whole: float = 1_000.0
) -> Iterator[Row]:
    """One of the cells is lost. The others were sized for that, or for their own share alone, with an
    autoscaler to make up for it. `whole`: requests/s of one cell when all are there."""
    most = capacity[profile.name]
    for count in (2, 3, 5, 11):
        row: Row = {"cells": count, "spare": 1 / (count - 1)}
        after = whole * count / (count - 1)
        for name, sized_for in (("sized", after), ("unsized", whole)):
            pods = math.ceil(sized_for / (0.85 * most))
            setup = Setup(
                profile,
                stepped([(10.0, whole), (50.0, after)]),
                60.0,
                pods=pods,
                warm_s=10.0,
                choices=2,
                scaling=Scaling(least=pods, most=4 * pods, target_in_flight=3.0),
                cold=ColdStart(assumed.warm_node_s),
            )
            outcome = simulate(setup)
            row[name] = {
                "pods": pods,
                "refused_share": outcome.refused_share,
                "p99_ms": outcome.p99_s * 1e3,
                "refusing_s": outcome.refusing_s,
            }
        yield row
