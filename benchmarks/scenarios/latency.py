"""What a lone caller waits beyond the computation itself: one connection against a bare run."""

from contextlib import ExitStack
from functools import partial

from benchmarks.graphs.mlp import mlp_input, publish_mlp
from benchmarks.harness.answers import check
from benchmarks.harness.bare import BareResult, Plan, bare_loop, session_answer
from benchmarks.harness.compare import record, record_difference
from benchmarks.harness.load import Load, load
from benchmarks.harness.messages import binary_message, json_message, write_lua
from benchmarks.harness.processes import slipway
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from models.manifest import MODEL_FILE

_PATH = "/v2/models/mlp/infer"
_BARE, _JSON, _BINARY = "bare session.run", "V2 JSON", "V2 binary"

_PROMISES = (
    Promise("bare.p50", "bare session.run, median", "ms"),
    Promise("json.p50", "V2 JSON, median", "ms"),
    Promise("json.extra", "V2 JSON, median beyond the bare run", "ms", at_most=0.3),
    Promise("binary.extra", "V2 binary, median beyond the bare run", "ms", at_most=0.3),
)


def _measure(bench: Bench, rows: Rows) -> None:
    repository = bench.folder / "repository"
    publish_mlp(repository, bench.folder / "staged")
    model, inputs = repository / "mlp" / "1" / MODEL_FILE, {"x": mlp_input()}
    messages = {_JSON: json_message(inputs), _BINARY: binary_message(inputs, ["y"])}
    with ExitStack() as stack:
        bare = stack.enter_context(bare_loop(model, [inputs], bench.folder))
        server = stack.enter_context(slipway(bench.options.checkout, repository))
        for message in messages.values():
            check(server.port, _PATH, message, session_answer(model, inputs))
        scripts = {
            name: write_lua(bench.folder / f"{name}.lua", message)
            for name, message in messages.items()
        }
        seconds = bench.options.seconds
        rounds: Rounds[Load | BareResult] = bench.alternate(
            {
                _BARE: partial(bare.run, Plan(1, 1), seconds),
                **{
                    name: partial(load, server, _PATH, script, 1, seconds)
                    for name, script in scripts.items()
                },
            }
        )
    bench.keep(rounds.samples)
    record(rows, "bare.p50", rounds, _BARE, lambda sample: sample.p50_ms)
    record(rows, "json.p50", rounds, _JSON, lambda sample: sample.p50_ms)
    record_difference(rows, "json.extra", rounds, (_JSON, _BARE), lambda sample: sample.p50_ms)
    record_difference(rows, "binary.extra", rounds, (_BINARY, _BARE), lambda sample: sample.p50_ms)


SCENARIO = Scenario("latency", "Latency of one caller: MLP", _PROMISES, _measure)
