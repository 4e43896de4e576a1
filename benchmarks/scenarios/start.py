"""How long until it serves, and how much memory it keeps: what one pays for every replica."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.graphs.mlp import mlp_input, publish_mlp
from benchmarks.harness.answers import ask
from benchmarks.harness.compare import record
from benchmarks.harness.messages import json_message
from benchmarks.harness.processes import slipway
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.spread import median
from models.catalog import list_versions

_DEMO = ("digits", "language-id", "digits-vae", "pycode-gpt")
_IDLE = 50
_REQUESTS = 50
_FOUR, _LAZY, _ONE_LAZY = "four bundles", f"{_IDLE} lazy bundles", "1 lazy bundle"

_PROMISES = (
    Promise("ready", "start of the process to ready, four demo bundles", "s", at_most=2.5),
    Promise("resident", "resident memory of the front end, four demo bundles", "MB", at_most=130),
    Promise("lazy.resident", f"resident memory of the front end, {_IDLE} lazy bundles", "MB"),
    Promise("lazy.each", "of which each idle bundle", "MB", at_most=2),
)


@dataclass(frozen=True)
class Started:
    ready_s: float
    resident_mb: float


def _measure(bench: Bench, rows: Rows) -> None:
    four = _four_bundles(bench)
    many, one = bench.folder / "many", bench.folder / "one"
    publish_mlp(many, bench.folder / "staged-many", [f"mlp-{index:03}" for index in range(_IDLE)])
    publish_mlp(one, bench.folder / "staged-one", ["mlp-000"])
    rounds: Rounds[Started] = bench.alternate(
        {
            _FOUR: partial(_start, bench, *four),
            _LAZY: partial(_start, bench, many, "--lazy"),
            _ONE_LAZY: partial(_start, bench, one, "--lazy"),
        }
    )
    bench.keep(rounds.samples)
    record(rows, "ready", rounds, _FOUR, lambda sample: sample.ready_s)
    record(rows, "resident", rounds, _FOUR, lambda sample: sample.resident_mb)
    record(rows, "lazy.resident", rounds, _LAZY, lambda sample: sample.resident_mb)
    for name in (_LAZY, _ONE_LAZY):
        if name in rounds.failures:
            rows.give_up(f"not available: {rounds.failures[name]}", "lazy.each")
            return
    many_mb, one_mb = (
        rounds.of(name, lambda sample: sample.resident_mb) for name in (_LAZY, _ONE_LAZY)
    )
    if many_mb and one_mb:
        alone = median(one_mb)
        rows.record("lazy.each", [(mb - alone) / (_IDLE - 1) for mb in many_mb])


def _four_bundles(bench: Bench) -> tuple[Path | str, ...]:
    """The demo's models where they are published; else four made on the spot, and the report says so."""
    repository = bench.options.checkout / "models" / "repository"
    if all(list_versions(repository, name) for name in _DEMO):
        bench.facts["four bundles"] = ", ".join(_DEMO)
        flags = [part for name in _DEMO for part in ("--model", name)]
        return (repository, *flags)
    stand_in = bench.folder / "four"
    publish_mlp(stand_in, bench.folder / "staged-four", [f"stand-in-{i}" for i in range(4)])
    bench.facts["four bundles"] = "stand-ins (small MLPs): the demo's models are not published here"
    return (stand_in,)


def _start(bench: Bench, repository: Path | str, *flags: Path | str) -> Started:
    """Memory is read after some answers of one model, if it is the MLP: first requests import things."""
    with slipway(bench.options.checkout, Path(repository), *map(str, flags)) as server:
        if (Path(repository) / "mlp-000").is_dir():
            message = json_message({"x": mlp_input()})
            for _ in range(_REQUESTS):
                ask(server.port, "/v2/models/mlp-000/infer", message)
        return Started(server.ready_s, server.resident_bytes() / 1e6)


SCENARIO = Scenario(
    "start", "Start and memory: four demo bundles, 50 idle ones", _PROMISES, _measure, False
)
