"""What metrics and the access log cost where requests are cheapest. The log goes to a file, as it would."""

from contextlib import ExitStack
from functools import partial

from benchmarks.graphs.mlp import mlp_input, publish_mlp
from benchmarks.harness.answers import check
from benchmarks.harness.bare import session_answer
from benchmarks.harness.compare import record, record_share
from benchmarks.harness.load import load
from benchmarks.harness.messages import binary_message, json_message, write_lua
from benchmarks.harness.processes import slipway
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from models.manifest import MODEL_FILE

_PATH = "/v2/models/mlp/infer"
_OFF = ("--no-access-log", "--no-metrics", "--trace-sample-share", "0")
_POINTS = (("V2 JSON", 16), ("V2 JSON", 64), ("V2 binary", 64))
_MORE_ROUNDS = 2  # the difference is small

_PROMISES = (
    *(
        Promise(f"{form}.{n}.kept", f"{form} at {n} connections, observed ÷ not", "×", at_least=0.9)
        for form, n in _POINTS
    ),
    Promise("V2 JSON.64.on_us", "V2 JSON at 64, observed: front end's processor time", "µs/request"),
    Promise("V2 JSON.64.off_us", "V2 JSON at 64, not observed: front end's processor time", "µs/request"),
)  # fmt: skip


def _measure(bench: Bench, rows: Rows) -> None:
    repository = bench.folder / "repository"
    publish_mlp(repository, bench.folder / "staged")
    inputs = {"x": mlp_input()}
    expected = session_answer(repository / "mlp" / "1" / MODEL_FILE, inputs)
    messages = {"V2 JSON": json_message(inputs), "V2 binary": binary_message(inputs, ["y"])}
    with ExitStack() as stack:
        start = partial(slipway, bench.options.checkout, repository)
        servers = {
            "on": stack.enter_context(start(log=bench.folder / "access.log")),
            "off": stack.enter_context(start(*_OFF)),
        }
        for server in servers.values():
            for message in messages.values():
                check(server.port, _PATH, message, expected)
        scripts = {
            name: write_lua(bench.folder / f"{name}.lua", message)
            for name, message in messages.items()
        }
        rounds = bench.alternate(
            {
                f"{form} @ {n}, {state}": partial(
                    load, server, _PATH, scripts[form], n, bench.options.seconds
                )
                for form, n in _POINTS
                for state, server in servers.items()
            },
            bench.options.rounds * _MORE_ROUNDS,
        )
    bench.keep(rounds.samples)
    for form, n in _POINTS:
        both = (f"{form} @ {n}, on", f"{form} @ {n}, off")
        record_share(rows, f"{form}.{n}.kept", rounds, both, lambda sample: sample.rate)
    for state in servers:
        key, name = f"V2 JSON.64.{state}_us", f"V2 JSON @ 64, {state}"
        record(rows, key, rounds, name, lambda sample: sample.main_us)


SCENARIO = Scenario("observability", "Cost of observability: MLP", _PROMISES, _measure)
