"""Throughput of a network so small that the server is all there is: beside an afternoon's work and hellos.

Every server runs all the time and is asked in turn; idle ones cost next to nothing.
"""

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.baselines import afternoon_file, hello_asgi_file, hello_fastapi_file
from benchmarks.graphs.mlp import mlp_input, publish_mlp
from benchmarks.harness.answers import check
from benchmarks.harness.bare import session_answer
from benchmarks.harness.compare import record, record_share
from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.load import Load, load
from benchmarks.harness.messages import Message, binary_message, json_message, rounded, write_lua
from benchmarks.harness.processes import Server, request, slipway, uvicorn
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from models.manifest import MODEL_FILE

CONNECTIONS = (1, 16, 64)
_QUIET = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error")
_PATH = "/v2/models/mlp/infer"
_WARM_S = 0.3
_HELLO, _FASTAPI, _AFTERNOON = "bare-ASGI hello", "FastAPI hello", "afternoon app"
_JSON, _BINARY = "V2 JSON", "V2 binary"
_ALONE, _TWO_JSON, _TWO_BINARY = (
    "V2 JSON, --isolation none",
    "V2 JSON, --frontends 2",
    "V2 binary, --frontends 2",
)
# What the best peers reached as a share of bare-ASGI hello, measured elsewhere: Triton's C++ core with a
# Python backend at 16 connections, mosec's Rust front end at 64.
_BEST_PEER = {16: 0.16, 64: 0.46}


@dataclass(frozen=True)
class _Entrant:
    server: Server
    path: str = "/"
    script: Path | None = None


@dataclass
class _Field:
    """Who runs, and why the others do not."""

    runs: dict[str, _Entrant] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def _promises() -> tuple[Promise, ...]:
    rows = []
    for n in CONNECTIONS:
        at = f"at {n} connection{'s' * (n > 1)}"
        is_judged = n > 1
        rows += [
            Promise(f"hello.{n}.rate", f"{_HELLO} {at}", "requests/s"),
            Promise(f"fastapi.{n}.of_hello", f"{_FASTAPI} ÷ {_HELLO} {at}", "×"),
            Promise(f"afternoon.{n}.of_hello", f"{_AFTERNOON} ÷ {_HELLO} {at}", "×"),
            Promise(f"json.{n}.rate", f"{_JSON} {at}", "requests/s"),
            Promise(f"json.{n}.p50", f"{_JSON} {at}, median", "ms"),
            Promise(f"json.{n}.p99", f"{_JSON} {at}, 99th percentile", "ms"),
            Promise(f"json.{n}.of_afternoon", f"{_JSON} ÷ {_AFTERNOON} {at}", "×", 5 if is_judged else None),
            Promise(f"json.{n}.of_hello", f"{_JSON} ÷ {_HELLO} {at}", "×", 0.40 if is_judged else None),
            Promise(f"binary.{n}.of_hello", f"{_BINARY} ÷ {_HELLO} {at}", "×", 0.50 if is_judged else None),
            Promise(f"json.{n}.cpu", f"{_HELLO} ÷ {_JSON} {at}, front end's processor time", "×"),
            Promise(f"binary.{n}.cpu", f"{_HELLO} ÷ {_BINARY} {at}, front end's processor time", "×"),
            Promise(f"alone.{n}.of_hello", f"{_ALONE} ÷ {_HELLO} {at}", "×"),
            Promise(f"two.json.{n}.of_hello", f"{_TWO_JSON} ÷ {_HELLO} {at}", "×", _BEST_PEER.get(n)),
            Promise(f"two.binary.{n}.of_hello", f"{_TWO_BINARY} ÷ {_HELLO} {at}", "×"),
            Promise(f"json.{n}.main_us", f"{_JSON} {at}, front end's processor time", "µs/request"),
            Promise(f"json.{n}.others_us", f"{_JSON} {at}, workers' processor time", "µs/request"),
            Promise(f"binary.{n}.main_us", f"{_BINARY} {at}, front end's processor time", "µs/request"),
        ]  # fmt: skip
    return tuple(rows)


def _measure(bench: Bench, rows: Rows) -> None:
    publish_mlp(bench.folder / "repository", bench.folder / "staged")
    with ExitStack() as stack:
        entrants = _start(bench, stack)
        for name, entrant in entrants.runs.items():
            _warm(name, entrant, entrants)
        for name in entrants.absent:
            entrants.runs.pop(name, None)
        rounds = bench.alternate(
            {
                f"{name} @ {n}": partial(
                    load, entrant.server, entrant.path, entrant.script, n, bench.options.seconds
                )
                for n in CONNECTIONS
                for name, entrant in entrants.runs.items()
            }
        )
    for name, why in entrants.absent.items():
        rounds.failures.update({f"{name} @ {n}": why for n in CONNECTIONS})
    bench.keep(rounds.samples)
    for n in CONNECTIONS:
        _judge(rows, rounds, n)


def _warm(name: str, entrant: _Entrant, entrants: _Field) -> None:
    try:
        load(entrant.server, entrant.path, entrant.script, max(CONNECTIONS), _WARM_S)
    except MeasurementFailed as failure:
        entrants.absent[name] = str(failure)


def _start(bench: Bench, stack: ExitStack) -> _Field:
    """Every server, each of which has given a right answer."""
    model = bench.folder / "repository" / "mlp" / "1" / MODEL_FILE
    inputs = {"x": mlp_input()}
    expected = session_answer(model, inputs)
    messages = {_JSON: json_message(inputs), _BINARY: binary_message(inputs, ["y"])}
    scripts = {
        name: write_lua(bench.folder / f"{name}.lua", message) for name, message in messages.items()
    }
    found = _Field()
    found.runs[_HELLO] = _Entrant(stack.enter_context(uvicorn(hello_asgi_file, *_QUIET)))
    found.runs[_FASTAPI] = _Entrant(stack.enter_context(uvicorn(hello_fastapi_file, *_QUIET)))
    app = stack.enter_context(
        uvicorn(afternoon_file, environment={**os.environ, "MODEL": str(model)})
    )
    found.runs[_AFTERNOON] = _afternoon(bench, app, expected["y"])
    for names, flags in (
        ({_JSON: _JSON, _BINARY: _BINARY}, ()),
        ({_ALONE: _JSON}, ("--isolation", "none")),
        ({_TWO_JSON: _JSON, _TWO_BINARY: _BINARY}, ("--frontends", "2")),
    ):
        try:
            server = stack.enter_context(
                slipway(bench.options.checkout, bench.folder / "repository", *flags)
            )
        except MeasurementFailed as failure:
            found.absent.update(dict.fromkeys(names, str(failure)))
            continue
        for name, form in names.items():
            try:
                check(server.port, _PATH, messages[form], expected)
            except MeasurementFailed as failure:
                found.absent[name] = str(failure)
            else:
                found.runs[name] = _Entrant(server, _PATH, scripts[form])
    return found


def _afternoon(bench: Bench, server: Server, expected: np.ndarray) -> _Entrant:
    body = json.dumps({"x": [rounded(mlp_input())]}, separators=(",", ":")).encode()
    message = Message(body, {"content-type": "application/json"})
    status, answer = request(server.port, "POST", "/predict", body, message.headers)
    assert status == 200, answer
    assert np.allclose(json.loads(answer)["y"], expected, atol=1e-3)
    return _Entrant(server, "/predict", write_lua(bench.folder / "afternoon.lua", message))


def _judge(rows: Rows, rounds: Rounds[Load], n: int) -> None:
    def at(name: str) -> str:
        return f"{name} @ {n}"

    record(rows, f"hello.{n}.rate", rounds, at(_HELLO), lambda sample: sample.rate)
    for key, name in (
        ("fastapi", _FASTAPI),
        ("afternoon", _AFTERNOON),
        ("json", _JSON),
        ("binary", _BINARY),
        ("alone", _ALONE),
        ("two.json", _TWO_JSON),
        ("two.binary", _TWO_BINARY),
    ):
        both = (at(name), at(_HELLO))
        record_share(rows, f"{key}.{n}.of_hello", rounds, both, lambda sample: sample.rate)
    for key, name in (("json", _JSON), ("binary", _BINARY)):
        both = (at(_HELLO), at(name))
        record_share(rows, f"{key}.{n}.cpu", rounds, both, lambda sample: sample.main_us)
    both = (at(_JSON), at(_AFTERNOON))
    record_share(rows, f"json.{n}.of_afternoon", rounds, both, lambda sample: sample.rate)
    record(rows, f"json.{n}.rate", rounds, at(_JSON), lambda sample: sample.rate)
    record(rows, f"json.{n}.p50", rounds, at(_JSON), lambda sample: sample.p50_ms)
    record(rows, f"json.{n}.p99", rounds, at(_JSON), lambda sample: sample.p99_ms)
    record(rows, f"json.{n}.main_us", rounds, at(_JSON), lambda sample: sample.main_us)
    record(rows, f"json.{n}.others_us", rounds, at(_JSON), lambda sample: sample.others_us)
    record(rows, f"binary.{n}.main_us", rounds, at(_BINARY), lambda sample: sample.main_us)


SCENARIO = Scenario("mlp", "Throughput: MLP 128→256→256→10", _promises(), _measure)
