"""Tiny ONNX graphs, built on the spot, and their publication as bundles."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.bundle import Bundle
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import Batching, Gate, ManifestDraft, TensorSpec
from models.publish import publish

_ELEMENTS = {kind: getattr(TensorProto, kind.value) for kind in DataType}

Axes = Sequence[int | str]


def spec(name: str, dtype: DataType, shape: Axes, **more: object) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=tuple(shape), **more)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    weights: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    def info(s: TensorSpec) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(s.name, _ELEMENTS[s.dtype], list(s.shape))

    made = helper.make_graph(
        list(nodes),
        "tiny",
        [info(s) for s in inputs],
        [info(s) for s in outputs],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


class Tiny:
    """A graph with its signature, ready to be published."""

    def __init__(
        self,
        nodes: Sequence[onnx.NodeProto],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        weights: Mapping[str, np.ndarray] | None = None,
        sample: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.data = graph(nodes, inputs, outputs, weights)
        self.sample = dict(sample) if sample else None

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [s.name for s in self.outputs]
        session = onnxruntime.InferenceSession(self.data, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    def draft(
        self, name: str, batching: Batching | None = None, gates: tuple[Gate, ...] = ()
    ) -> ManifestDraft:
        return ManifestDraft(
            name=name,
            task="tensor",
            inputs=self.inputs,
            outputs=self.outputs,
            preprocessing=TensorPreprocessing(),
            postprocessing=TensorPostprocessing(),
            batching=batching or Batching(max_batch_size=8),
            gates=gates,
        )

    def publish(
        self,
        repository: Path,
        name: str,
        scratch: Path,
        *,
        batching: Batching | None = None,
        gates: tuple[Gate, ...] = (),
        golden: Golden | None = None,
    ) -> Bundle:
        staged = scratch / f"staged-{name}"
        staged.mkdir(parents=True, exist_ok=True)
        (staged / "model.onnx").write_bytes(self.data)
        if golden is None and self.sample is not None:
            golden = Golden(self.sample, self.run(self.sample))
        if golden is not None:
            golden.save(staged / "golden.npz")
        return publish(
            repository, self.draft(name, batching, gates), staged, allow_failed_gates=True
        )


def identity(dtype: DataType = DataType.FLOAT, width: int = 3) -> Tiny:
    """y = x, [batch, width]."""
    return Tiny(
        [helper.make_node("Identity", ["x"], ["y"])],
        [spec("x", dtype, ["batch", width])],
        [spec("y", dtype, ["batch", width])],
        sample={"x": np.ones((2, width), np.float32)} if dtype is DataType.FLOAT else None,
    )


def doubler(width: int = 4) -> Tiny:
    """y = x + x, [batch, width]."""
    return Tiny(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [spec("x", DataType.FLOAT, ["batch", width])],
        [spec("y", DataType.FLOAT, ["batch", width])],
        sample={"x": np.arange(2 * width, dtype=np.float32).reshape(2, width)},
    )


def gather(rows: int = 4) -> Tiny:
    """y = table[id]: an id outside 0…rows-1 makes the run fail, and its whole batch with it."""
    table = np.arange(rows, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    return Tiny(
        [helper.make_node("Gather", ["table", "id"], ["y"])],
        [spec("id", DataType.INT64, ["batch"])],
        [spec("y", DataType.FLOAT, ["batch", 2])],
        {"table": table},
        sample={"id": np.array([0, 1])},
    )


def glutton() -> Tiny:
    """y = x, [batch, 2]: one item takes nothing to speak of, more want more memory than can be addressed."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], end=1),
        helper.make_node("Sub", ["shape", "one"], ["others"]),
        helper.make_node("Mul", ["others", "bits"], ["many"]),
        helper.make_node("Min", ["many", "bits"], ["wanted"]),
        helper.make_node("Cast", ["wanted"], ["shift"], to=TensorProto.UINT64),
        helper.make_node("BitShift", ["first", "shift"], ["shifted"], direction="LEFT"),
        helper.make_node("Cast", ["shifted"], ["size"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    weights = {
        "one": np.array([1], np.int64),
        "bits": np.array([48], np.int64),
        "first": np.array([1], np.uint64),
    }
    one = {"x": np.ones((1, 2), np.float32)}
    x, y = (spec(name, DataType.FLOAT, ["batch", 2]) for name in ("x", "y"))
    return Tiny(nodes, [x], [y], weights, sample=one)


def mlp(*sizes: int) -> Tiny:
    """Random weights, ReLU between layers: x [batch, sizes[0]] → y [batch, sizes[-1]]."""
    random = np.random.default_rng(0)
    nodes, weights, value = [], {}, "x"
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        weight = random.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in)
        weights[f"w{layer}"] = weight.astype(np.float32)
        weights[f"b{layer}"] = np.zeros(fan_out, np.float32)
        is_last = layer == len(sizes) - 2
        out = "y" if is_last else f"h{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [out]))
        if not is_last:
            nodes.append(helper.make_node("Relu", [out], [f"r{layer}"]))
            value = f"r{layer}"
    return Tiny(
        nodes,
        [spec("x", DataType.FLOAT, ["batch", sizes[0]])],
        [spec("y", DataType.FLOAT, ["batch", sizes[-1]])],
        weights,
        sample={"x": random.standard_normal((2, sizes[0])).astype(np.float32)},
    )


def endless() -> Tiny:
    """y = x, at once for zeros; for anything else never."""
    return slow(2**62, is_quick_for_zeros=True)


def slow(steps: int, *, is_quick_for_zeros: bool = False) -> Tiny:
    """y = x after `steps` turns of an idle loop inside the graph: time that a caller can notice."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["value", "zero"], ["value_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_out", TensorProto.FLOAT, None),
        ],
    )
    judge = [
        helper.make_node("Abs", ["x"], ["sizes"]),
        helper.make_node("ReduceMax", ["sizes"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "zero"], ["is_something"]),
    ]
    begins = "is_something" if is_quick_for_zeros else "yes"
    return Tiny(
        [
            *(judge if is_quick_for_zeros else []),
            helper.make_node("Loop", ["steps", begins, "x"], ["y"], body=body),
        ],
        [spec("x", DataType.FLOAT, ["batch", 2])],
        [spec("y", DataType.FLOAT, ["batch", 2])],
        {
            "steps": np.array(steps, np.int64),
            "yes": np.array(True),
            "zero": np.zeros((), np.float32),
        },
    )
