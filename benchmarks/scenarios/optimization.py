"""What choosing the way of running a model brings: the same bundle, the same weights, over HTTP.

Each model is served three times and asked in turn: as ONNX Runtime runs the exported graph (fp32), by default
(auto: runtime and variant chosen by measurement among what is within the accuracy budget), and by default
without OpenVINO. What was chosen stands among the facts.

The budget is half a point of accuracy, or a cosine of 0.999, of the answers that came over HTTP. Weights of
the picture networks would have to be downloaded: theirs are random below a last layer that was fitted to
drawn digits, and they are judged on digits that nothing was fitted to. The sentence encoder's weights are
real; its answers, and the perceptron's, are compared with those of the fp32 server.
"""

import http.client
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.graphs.optimized import Recipe, publish_optimized
from benchmarks.graphs.optimized_models import MODELS, Model
from benchmarks.harness.answers import ask
from benchmarks.harness.closed_loop import ClosedLoopResult, closed_loop
from benchmarks.harness.compare import record, record_share
from benchmarks.harness.failures import MeasurementFailed, NotAvailable
from benchmarks.harness.load import Load, load
from benchmarks.harness.messages import Message, binary_message, write_lua
from benchmarks.harness.processes import Server, get, slipway
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.wrk import wrk_version

_FP32, _AUTO, _PLAIN = "onnxruntime fp32", "auto", "auto without openvino"
_RUNTIME = ("--runtime", "onnxruntime")
_FLAGS = {_FP32: (*_RUNTIME, "--no-selection"), _AUTO: (), _PLAIN: _RUNTIME}
_KEYS = {"auto": _AUTO, "plain": _PLAIN}
_LONGER, _WARM_SHARE = 1.5, 0.3
_QUICK_ROUNDS = 3  # times as many: what is compared is nearly, or wholly, the same
_START_LIMIT_S = 300.0
_ASKED_AT_ONCE = 8
_LOAD_CHOSEN, _LOAD_FIXED = "start with cached selection", "start without selection"

Result = ClosedLoopResult | Load


@dataclass(frozen=True)
class Started:
    ready_s: float


@dataclass(frozen=True)
class _Made:
    """A published model and what it is asked."""

    name: str
    repository: Path
    recipe: Recipe
    messages: Sequence[Message]

    @property
    def path(self) -> str:
        return f"/v2/models/{self.name}/infer"


def _promises() -> tuple[Promise, ...]:
    rows: list[Promise] = []
    for key, model in _by_key().items():
        of = f"{model.title} at {model.connections} connections"
        rows += [
            Promise(f"{key}.fp32", f"{of}, {_FP32}", "items/s"),
            Promise(f"{key}.auto", f"{of}, {_AUTO} ÷ {_FP32}", "×", model.at_least),
            Promise(f"{key}.plain", f"{of}, {_PLAIN} ÷ {_FP32}", "×", model.at_least_plain),
            _budget(key, "auto", model),
            _budget(key, "plain", model),
        ]
    rows.append(Promise("load", f"{_LOAD_CHOSEN} ÷ {_LOAD_FIXED}", "×", at_most=1.2))
    return tuple(rows)


def _budget(key: str, way: str, model: Model) -> Promise:
    if model.is_judged_by_labels:
        what = f"{model.title}, accuracy that {_KEYS[way]} loses of {_FP32}'s"
        return Promise(f"{key}.{way}.budget", what, "", at_most=0.005)
    what = f"{model.title}, mean cosine of {_KEYS[way]} with {_FP32}"
    return Promise(f"{key}.{way}.budget", what, "", 0.999)


def _by_key() -> dict[str, Model]:
    return {model.key: model for model in MODELS}


def _measure(bench: Bench, rows: Rows) -> None:
    made: list[_Made] = []
    for key, model in _by_key().items():
        try:
            made.append(_compare(bench, rows, key, model))
        except (MeasurementFailed, NotAvailable) as reason:
            rows.give_up(f"not available: {reason}", f"{key}.")
    _start_all(bench, rows, made)


def _compare(bench: Bench, rows: Rows, key: str, model: Model) -> _Made:
    made = _publish(bench, key, model)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_server(bench, made, name)) for name in _FLAGS}
        for name in (_AUTO, _PLAIN):
            bench.facts[f"{model.title}, {name}"] = _chosen(servers[name], made)
        bench.progress.doing(f"{key}: comparing answers")
        _judge(bench, rows, key, model, made, servers)
        rounds: Rounds[Result] = bench.alternate(
            {
                f"{key}, {name}": partial(_ask, bench, model, made, server)
                for name, server in servers.items()
            },
            bench.options.rounds * (_QUICK_ROUNDS if model.is_quick else 1),
        )
    bench.keep(rounds.samples)
    record(rows, f"{key}.fp32", rounds, f"{key}, {_FP32}", lambda sample: sample.rate)
    for way, name in _KEYS.items():
        both = (f"{key}, {name}", f"{key}, {_FP32}")
        record_share(rows, f"{key}.{way}", rounds, both, lambda sample: sample.rate)
    return made


def _publish(bench: Bench, key: str, model: Model) -> _Made:
    if model.is_quick and wrk_version() is None:
        raise NotAvailable("wrk is not installed (apt-get install wrk)")
    bench.progress.doing(f"{key}: making variants (once)")
    recipe = model.recipe(bench.options)
    repository = bench.folder / key / "repository"
    table = publish_optimized(recipe, repository, bench.options.cache, bench.folder / key / "made")
    bench.facts[f"{model.title}, variants"] = _verdicts(table)
    outputs = [spec.name for spec in recipe.draft.outputs]
    messages = [binary_message(inputs, outputs) for inputs in recipe.asked]
    return _Made(recipe.draft.name, repository, recipe, messages)


def _server(bench: Bench, made: _Made, name: str) -> AbstractContextManager[Server]:
    """One that has chosen before: the choice is remembered from a start that nobody measures."""
    bench.progress.doing(f"{made.name}: starting {name}")
    if name != _FP32:
        with _started(bench, made.repository, name):
            pass
    return _started(bench, made.repository, name)


def _started(bench: Bench, repository: Path, name: str) -> AbstractContextManager[Server]:
    flags = (*_FLAGS[name], "--selection-cache", str(bench.folder / "selection"))
    return slipway(bench.options.checkout, repository, *flags, limit_s=_START_LIMIT_S)


def _chosen(server: Server, made: _Made) -> str:
    """In the server's words, with what it found out."""
    try:
        status, body = get(server.port, f"/v2/models/{made.name}/config")
    except (OSError, http.client.HTTPException) as error:
        raise MeasurementFailed(f"the server does not tell its choice: {error}") from error
    if status != 200:
        raise MeasurementFailed(f"the server does not tell its choice: {status}")
    told: Mapping[str, Mapping[str, str]] = json.loads(body)["parameters"]
    runtime, precision, why = (
        told[name]["string_value"] for name in ("runtime", "precision", "selection")
    )
    return f"{runtime} {precision}: {why}"


def _judge(
    bench: Bench, rows: Rows, key: str, model: Model, made: _Made, servers: Mapping[str, Server]
) -> None:
    """The budget, on answers over HTTP. What agrees with fp32, and how well, stands among the facts."""
    answers = {name: _answers(made, server) for name, server in servers.items()}
    expected, labels = answers[_FP32], made.recipe.labels
    for way, name in _KEYS.items():
        cosine = float(_cosines(expected, answers[name]).mean())
        agreeing = float((expected.argmax(1) == answers[name].argmax(1)).mean())
        told = f"mean cosine with fp32 {cosine:.5f}"
        if labels is None:
            rows.record(f"{key}.{way}.budget", [cosine])
        else:
            right = [
                float((found.argmax(1) == labels).mean()) for found in (answers[name], expected)
            ]
            rows.record(f"{key}.{way}.budget", [right[1] - right[0]])
            told = f"accuracy {right[0]:.4f}, fp32 {right[1]:.4f}; the same class {agreeing:.4f}; {told}"
        bench.facts[f"{model.title}, {name}, {len(expected)} answers"] = told


def _answers(made: _Made, server: Server) -> np.ndarray:
    """[asked, columns]; several at once, so that the server batches them if it ever does."""
    output = made.recipe.draft.outputs[0].name
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as callers:
        found = callers.map(lambda message: ask(server.port, made.path, message), made.messages)
        return np.concatenate([answer[output] for answer in found])


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    found: np.ndarray = (left * right).sum(axis=1) / lengths
    return found


def _ask(bench: Bench, model: Model, made: _Made, server: Server) -> Result:
    seconds = bench.options.seconds
    if model.is_quick:
        script = write_lua(bench.folder / f"{made.name}.lua", made.messages[0])
        return load(server, made.path, script, model.connections, seconds)
    requests = [message.http(made.path) for message in made.messages[:64]]
    seconds *= _LONGER
    return closed_loop(server.port, requests, model.connections, seconds, seconds * _WARM_SHARE)


def _start_all(bench: Bench, rows: Rows, made: Sequence[_Made]) -> None:
    """Each model's server, begun anew: what is remembered was chosen before."""
    if not made:
        return

    def start(name: str) -> Started:
        return Started(sum(_ready_s(bench, one.repository, name) for one in made))

    rounds: Rounds[Started] = bench.alternate(
        {_LOAD_FIXED: partial(start, _FP32), _LOAD_CHOSEN: partial(start, _AUTO)}
    )
    bench.keep(rounds.samples)
    both = (_LOAD_CHOSEN, _LOAD_FIXED)
    record_share(rows, "load", rounds, both, lambda sample: sample.ready_s)


def _ready_s(bench: Bench, repository: Path, name: str) -> float:
    with _started(bench, repository, name) as server:
        return server.ready_s


def _verdicts(table: str) -> str:
    """Target and fate of each row, without its figures."""
    lines = [line.split() for line in table.splitlines()[2:] if ":" in line]
    fates = (
        (words[0], next((w for w in words if w.startswith(("kept", "dropped"))), ""))
        for words in lines
    )
    return ", ".join(f"{target} {fate.rstrip(':')}" for target, fate in fates if fate)


SCENARIO = Scenario(
    "optimization", "Speed-up by choice of runtime and variant", _promises(), _measure, False
)
