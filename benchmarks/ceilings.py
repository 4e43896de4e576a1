"""`python -m benchmarks.ceilings MODEL…`: what this processor could gain, whatever that costs in accuracy.

    python -m benchmarks.ceilings resnet-50 minilm

The ways of running a graph take turns in this process, with all cores, without a server: the runtimes in
fp32 and bf16; static int8 in every layer; weights in int8 by columns, whose products OpenVINO computes in
int8 with a scale for so many activations each. Beside each stands how its answers agree with those of the
exported graph. What `slipway optimize` keeps lies below: it leaves layers in fp32 until the budget holds.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.graphs.optimized import Arrays, Recipe, subject_of
from benchmarks.graphs.optimized_models import MODELS
from benchmarks.harness.options import Options
from models.cgroup import usable_cores
from models.manifest import MODEL_FILE
from models.runtimes import open_session
from models.runtimes.base import Compute, SessionOptions
from models.runtimes.graph import Graph
from models.tables import aligned

_ROUNDS = 5
_ROWS = 64
_GROUPS = (32, 128)
_REFERENCE = "onnxruntime fp32"

Run = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Way:
    """`times`: as fast as the reference, by rounds; `cosine`, `agree`: of its answers with those."""

    name: str
    times: Sequence[float]
    cosine: float
    agree: float


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ceilings",
        description="Compare ways of running a graph in one process, whatever they cost in accuracy.",
    )
    names = [model.key for model in MODELS if not model.is_quick]
    parser.add_argument("model", nargs="+", choices=names)
    parser.add_argument(
        "--rounds", type=int, default=_ROUNDS, help="of each (default: %(default)s)"
    )
    options = parser.parse_args(given)
    for model in MODELS:
        if model.key in options.model:
            print(f"\n{model.title}")
            print(table(measured(model.recipe(Options()), options.rounds)), flush=True)
    return 0


def measured(recipe: Recipe, rounds: int) -> list[Way]:
    with tempfile.TemporaryDirectory() as scratch:
        ways = _opened(recipe, Path(scratch) / "made")
        batches = _batches(recipe.judging)
        answers = {
            name: np.concatenate([run(one) for one in batches]) for name, run in ways.items()
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, run in ways.items():
                began = time.perf_counter()
                for one in batches:
                    run(one)
                took[name].append(time.perf_counter() - began)
    return [compared(name, took, answers) for name in ways]


def compared(
    name: str, took: Mapping[str, Sequence[float]], answers: Mapping[str, np.ndarray]
) -> Way:
    """Against the reference's of the same round, and against its answers [N, columns]."""
    wanted, found = answers[_REFERENCE], answers[name]
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    return Way(
        name,
        [base / mine for base, mine in zip(took[_REFERENCE], took[name], strict=True)],
        float(((wanted * found).sum(axis=1) / lengths).mean()),
        float((wanted.argmax(axis=1) == found.argmax(axis=1)).mean()),
    )


def table(ways: Sequence[Way]) -> str:
    head = ("way", "times as fast", "lowest – highest", "cosine", "largest the same")
    rows = [
        (
            way.name,
            f"{statistics.median(way.times):.2f}",
            f"{min(way.times):.2f} – {max(way.times):.2f}",
            f"{way.cosine:.5f}",
            f"{way.agree:.3f}",
        )
        for way in ways
    ]
    return aligned(head, rows)


def _batches(judging: Sequence[Arrays]) -> list[Arrays]:
    taken: list[Arrays] = []
    while len(taken) < len(judging) and sum(map(_count, taken)) < _ROWS:
        taken.append(judging[len(taken)])
    return taken


def _count(rows: Arrays) -> int:
    return len(next(iter(rows.values())))


def _opened(recipe: Recipe, folder: Path) -> dict[str, Run]:
    from training.optimizing import static
    from training.optimizing.static import QUICK
    from training.optimizing.targets import get

    subject, target = subject_of(recipe, folder), get("onnxruntime:int8-static")
    exported, static_file = folder / MODEL_FILE, folder / str(target.file)
    static.make(subject, target, QUICK, lambda: "", lambda _: None)
    ways = {
        _REFERENCE: _session(recipe, exported, "onnxruntime", "fp32"),
        "openvino fp32": _session(recipe, exported, "openvino", "fp32"),
        "openvino bf16": _session(recipe, exported, "openvino", "bf16"),
        "onnxruntime int8 static": _session(recipe, static_file, "onnxruntime", "fp32"),
        "openvino int8 static": _session(recipe, static_file, "openvino", "fp32"),
        "openvino int8 static, bf16": _session(recipe, static_file, "openvino", "bf16"),
    }
    compressed = folder / "compressed.onnx"
    if compress(exported, compressed):
        for group in _GROUPS:
            name = f"openvino int8 weights, {group} a scale, bf16"
            ways[name] = _by_groups(recipe, compressed, group)
    return ways


def _session(recipe: Recipe, file: Path, runtime: str, compute: Compute) -> Run:
    graph = Graph.in_folder(file, recipe.draft.inputs, recipe.draft.outputs)
    options = SessionOptions(threads=_threads(), compute=compute)
    session = open_session(runtime, graph, options)
    name = recipe.draft.outputs[0].name
    return lambda rows: session.run(rows)[name]


def _threads() -> int:
    return max(1, int(usable_cores()))


def _by_groups(recipe: Recipe, file: Path, group: int) -> Run:
    import openvino

    core = openvino.Core()
    config = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
        "INFERENCE_NUM_THREADS": _threads(),
        "NUM_STREAMS": 1,
    }
    compiled = core.compile_model(core.read_model(str(file)), "CPU", config)
    request, name = compiled.create_infer_request(), recipe.draft.outputs[0].name
    return lambda rows: np.array(request.infer(dict(rows))[compiled.output(name)])


def compress(source: Path, target: Path) -> bool:
    """Matrices of products in int8, a scale per column, widened again by the graph. False where convolutions
    do the work: their weights would gain nothing."""
    import onnx

    model = onnx.load(source)
    graph = model.graph
    if not any(node.op_type == "MatMul" for node in graph.node):
        return False
    weights = {one.name: one for one in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            nodes.append(_widened(graph, node, weights[node.input[1]]))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [one for one in graph.initializer if one.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.save_model(model, target)
    return True


def _widened(graph: Any, node: Any, weight: Any) -> Any:
    """The node that widens, in front of `node`, which reads from it from now on."""
    from onnx import helper, numpy_helper

    matrix = numpy_helper.to_array(weight)
    scale = np.abs(matrix).max(axis=0) / 127 + 1e-12
    values = np.clip(np.round(matrix / scale), -127, 127).astype(np.int8)
    names = [f"{node.output[0]}.{part}" for part in ("int8", "scale", "wide")]
    for name, array in zip(names, (values, scale.astype(np.float32)), strict=False):
        graph.initializer.append(numpy_helper.from_array(array, name))
    node.input[1] = names[2]
    return helper.make_node("DequantizeLinear", names[:2], [names[2]], axis=1)


if __name__ == "__main__":
    sys.exit(main())
