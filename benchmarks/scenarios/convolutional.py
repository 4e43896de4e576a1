"""Convolutional networks: does the server leave the runtime its full speed, alone and under load?

On CPUs such networks gain nothing from batches. What counts: one single-thread session per core under
load, and all threads for a request that is alone. Neither is told to the server.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Literal

import numpy as np

from benchmarks.graphs.resnets import SIDE, publish_resnet
from benchmarks.harness.answers import check
from benchmarks.harness.bare import BareLoop, BareResult, Plan, bare_loop, session_answer
from benchmarks.harness.closed_loop import ClosedLoopResult, closed_loop
from benchmarks.harness.compare import record, record_share
from benchmarks.harness.messages import binary_message
from benchmarks.harness.processes import AS_EXPORTED, Server, slipway
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.spread import median
from models.manifest import MODEL_FILE

_BATCHES = (1, 2, 4, 8)
_LONGER = 1.5  # times the seconds of small models: these answer tens of requests a second
_TRIAL_SHARE = 0.25  # of the seconds, for finding the best bare way
_WARM_SHARE = 0.3
_SETTLE_S = 4.0  # the server makes its thread plan when nothing runs, as it finds it in real life

Result = BareResult | ClosedLoopResult

_PROMISES = (
    Promise("50.bare", "ResNet-50, bare session.run at its best", "items/s"),
    Promise("50.8.rate", "ResNet-50, V2 binary at 8 connections", "items/s"),
    Promise("50.8.of_bare", "ResNet-50 at 8 connections ÷ bare at its best", "×", at_least=0.95),
    Promise("18.bare", "ResNet-18, bare session.run at its best", "items/s"),
    Promise("18.8.of_bare", "ResNet-18 at 8 connections ÷ bare at its best", "×", at_least=0.92),
    Promise("18.1.of_bare", "ResNet-18 at 1 connection ÷ one bare session with all threads", "×", 0.9),
    Promise("18.16.of_bare", "ResNet-18 at 16 connections ÷ a bare 1-thread session per core", "×", 0.9),
)  # fmt: skip


def _measure(bench: Bench, rows: Rows) -> None:
    everyone = Plan(1, bench.cores)
    per_core = Plan(bench.cores, 1)
    for depth in (50, 18):
        _compare(bench, rows, depth, everyone, per_core)


def _compare(
    bench: Bench, rows: Rows, depth: Literal[18, 50], everyone: Plan, per_core: Plan
) -> None:
    name, repository = f"resnet-{depth}", bench.folder / f"repository-{depth}"
    publish_resnet(repository, bench.folder / f"staged-{depth}", depth)
    model = repository / name / "1" / MODEL_FILE
    inputs = {"x": np.random.default_rng(2).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)}
    message = binary_message(inputs, ["y"])
    path = f"/v2/models/{name}/infer"
    seconds = bench.options.seconds * _LONGER
    with ExitStack() as stack:
        bare = stack.enter_context(bare_loop(model, [inputs], bench.folder))
        server = stack.enter_context(
            slipway(bench.options.checkout, repository, environment=AS_EXPORTED)
        )
        check(server.port, path, message, session_answer(model, inputs))
        time.sleep(min(_SETTLE_S, 2 * bench.options.seconds))
        best = _best(bench, bare, name, (everyone, per_core))
        connections = (8,) if depth == 50 else (8, 1, 16)
        wanted = (best, per_core) if depth == 50 else (best, per_core, everyone)
        plans = {str(plan): plan for plan in wanted}
        rounds: Rounds[Result] = bench.alternate(
            {
                **{
                    f"{name}, bare {text}": partial(bare.run, plan, seconds)
                    for text, plan in plans.items()
                },
                **{
                    f"{name} @ {n}": partial(_ask, server, message.http(path), n, seconds)
                    for n in connections
                },
            }
        )
        bench.facts[f"{name}, thread plan in the server's log"] = _thread_plan(server)
    bench.keep(rounds.samples)
    _judge(rows, rounds, depth, {1: everyone, 16: per_core})


def _best(bench: Bench, bare: BareLoop, name: str, shapes: Sequence[Plan]) -> Plan:
    plans = [
        Plan(p.sessions, p.threads, batch) for p in dict.fromkeys(shapes) for batch in _BATCHES
    ]
    bench.progress.doing(f"{name}, looking for the best bare way")
    best = bare.best(plans, bench.options.seconds * _TRIAL_SHARE)
    bench.facts[f"{name}, best bare way"] = str(best)
    return best


def _thread_plan(server: Server) -> str:
    found = [line for line in server.log_lines() if ": threads: " in line]
    return (
        found[-1].partition(": threads: ")[2]
        if found
        else "it had found no calm moment to make one"
    )


def _ask(server: Server, request: bytes, connections: int, seconds: float) -> ClosedLoopResult:
    return closed_loop(server.port, [request], connections, seconds, seconds * _WARM_SHARE)


def _limit(rounds: Rounds[Result], name: str) -> str:
    """The bare way with the highest median: the trials may have picked another."""
    ways = [key for key, samples in rounds.samples.items() if ", bare " in key and samples]
    if not ways:
        return f"{name}, bare"
    return max(ways, key=lambda way: median(rounds.of(way, lambda sample: sample.rate)))


def _judge(rows: Rows, rounds: Rounds[Result], depth: int, others: dict[int, Plan]) -> None:
    name = f"resnet-{depth}"
    limit = _limit(rounds, name)
    record(rows, f"{depth}.bare", rounds, limit, lambda sample: sample.rate)
    both = (f"{name} @ 8", limit)
    record_share(rows, f"{depth}.8.of_bare", rounds, both, lambda sample: sample.rate)
    if depth == 50:
        record(rows, "50.8.rate", rounds, f"{name} @ 8", lambda sample: sample.rate)
        return
    for n, plan in others.items():
        both = (f"{name} @ {n}", f"{name}, bare {plan}")
        record_share(rows, f"18.{n}.of_bare", rounds, both, lambda sample: sample.rate, str(plan))


SCENARIO = Scenario(
    "convolutional", "Convolutional networks: ResNet-50 and ResNet-18", _PROMISES, _measure, False
)
