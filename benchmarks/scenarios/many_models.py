"""Does a model cost more because ninety-nine others are loaded?

Asked in two ways: all requests go to one of the loaded models; and they go to all models in turn. The
second also takes the batches apart, because requests to different models share none. What that costs by
itself shows beside it: one model that is never batched.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks.graphs.mlp import mlp_input, publish_mlp
from benchmarks.harness.compare import record, record_share
from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.load import Load, load
from benchmarks.harness.messages import binary_message, write_lua
from benchmarks.harness.processes import Server, get, slipway
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario

_COUNTS = (1, 10, 100)
_CONNECTIONS = 16
_SCRAPES = 10
_LOAD_LIMIT_S = 300.0
_SCRAPE, _UNBATCHED = "scrape", "1 model, never batched"

_PROMISES = (
    Promise("1.rate", "1 model at 16 connections, V2 binary", "requests/s"),
    Promise("10.kept", "one of 10 loaded models ÷ 1 model", "×", at_least=0.9),
    Promise("100.kept", "one of 100 loaded models ÷ 1 model", "×", at_least=0.9),
    Promise("10.in_turn", "10 models in turn ÷ 1 model", "×", at_least=0.9),
    Promise("100.in_turn", "100 models in turn ÷ 1 model", "×", at_least=0.9),
    Promise("unbatched", "1 model, never batched ÷ 1 model", "×"),
    Promise("100.in_turn_of_unbatched", "100 models in turn ÷ 1 model, never batched", "×"),
    Promise("scrape", "GET /metrics with 100 models", "ms", at_most=100),
    Promise("scrape.size", "its size", "kB"),
    Promise("100.ready", "start to ready with 100 models", "s"),
    Promise("100.resident", "resident memory of the front end with 100 models", "MB"),
)


@dataclass(frozen=True)
class Scrape:
    took_ms: float
    size_bytes: int


def _measure(bench: Bench, rows: Rows) -> None:
    with ExitStack() as stack:
        servers = {count: _server(bench, stack, count) for count in _COUNTS}
        most = servers[max(_COUNTS)]
        rows.record("100.ready", [most.ready_s])
        unbatched = stack.enter_context(
            slipway(bench.options.checkout, bench.folder / "1/repository", "--max-batch-size", "1")
        )
        rounds: Rounds[Load] = bench.alternate(
            {
                **{
                    _one_of(count): partial(_load, bench, 1, server)
                    for count, server in servers.items()
                },
                **{
                    _in_turn(count): partial(_load, bench, count, servers[count])
                    for count in _COUNTS[1:]
                },
                _UNBATCHED: partial(_load, bench, 1, unbatched),
            }
        )
        rows.record("100.resident", [most.resident_bytes() / 1e6])
        scrapes = bench.alternate({_SCRAPE: partial(_scrape, most)}, _SCRAPES)
    bench.keep(rounds.samples)
    bench.keep(scrapes.samples)
    record(rows, "1.rate", rounds, _one_of(1), lambda sample: sample.rate)
    for key, both in (
        *((f"{count}.kept", (_one_of(count), _one_of(1))) for count in _COUNTS[1:]),
        *((f"{count}.in_turn", (_in_turn(count), _one_of(1))) for count in _COUNTS[1:]),
        ("unbatched", (_UNBATCHED, _one_of(1))),
        ("100.in_turn_of_unbatched", (_in_turn(100), _UNBATCHED)),
    ):
        record_share(rows, key, rounds, both, lambda sample: sample.rate)
    record(rows, "scrape", scrapes, _SCRAPE, lambda sample: sample.took_ms)
    record(rows, "scrape.size", scrapes, _SCRAPE, lambda sample: sample.size_bytes / 1e3)


def _server(bench: Bench, stack: ExitStack, count: int) -> Server:
    bench.progress.doing(f"loading {count} models")
    folder = bench.folder / str(count)
    names = [_name(index) for index in range(count)]
    publish_mlp(folder / "repository", folder / "staged", names)
    return stack.enter_context(
        slipway(bench.options.checkout, folder / "repository", limit_s=_LOAD_LIMIT_S)
    )


def _load(bench: Bench, count: int, server: Server) -> Load:
    """The same script for every count: choosing the next path costs wrk something."""
    paths = [f"/v2/models/{_name(index)}/infer" for index in range(count)]
    message = binary_message({"x": mlp_input()}, ["y"])
    script = write_lua(bench.folder / f"{count}.lua", message, paths)
    return load(server, paths[0], script, _CONNECTIONS, bench.options.seconds)


def _one_of(count: int) -> str:
    return f"one of {count}"


def _in_turn(count: int) -> str:
    return f"{count} in turn"


def _name(index: int) -> str:
    return f"mlp-{index:03}"


def _scrape(server: Server) -> Scrape:
    began = time.perf_counter()
    status, body = get(server.port, "/metrics")
    took_ms = (time.perf_counter() - began) * 1e3
    if status != 200:
        raise MeasurementFailed(f"/metrics answers {status}")
    return Scrape(took_ms, len(body))


SCENARIO = Scenario("many-models", "Linear cost: 1, 10, 100 models", _PROMISES, _measure)
