"""The multilayer perceptron that serving benchmarks ask: small enough that everything else is what counts."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.manifest import MODEL_FILE, Batching, ManifestDraft, TensorSpec
from models.publish import publish

WIDTH = 128
_SIZES = (WIDTH, 256, 256, 10)


def publish_mlp(
    repository: Path,
    staged: Path,
    names: Sequence[str] = ("mlp",),
    sizes: Sequence[int] = _SIZES,
) -> None:
    """Layers of those widths (128 → 256 → 256 → 10) with random weights, under each of the names."""
    staged.mkdir(parents=True)
    (staged / MODEL_FILE).write_bytes(mlp_graph(sizes))
    for name in names:
        publish(repository, _draft(name, sizes), staged)


def mlp_input(rows: int = 1, width: int = WIDTH) -> np.ndarray:
    """[rows, width]."""
    return np.random.default_rng(7).standard_normal((rows, width)).astype(np.float32)


def _draft(name: str, sizes: Sequence[int]) -> ManifestDraft:
    return ManifestDraft(
        name=name,
        task="tensor",
        inputs=(TensorSpec(name="x", dtype=DataType.FLOAT, shape=("batch", sizes[0])),),
        outputs=(TensorSpec(name="y", dtype=DataType.FLOAT, shape=("batch", sizes[-1])),),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
        batching=Batching(max_batch_size=64),
    )


def mlp_graph(sizes: Sequence[int] = _SIZES) -> bytes:
    """The ONNX graph, x [batch, first of sizes] → y [batch, last of sizes]."""
    random = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    value = "x"
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        matrix = (random.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        weights.append(numpy_helper.from_array(np.zeros(fan_out, np.float32), f"b{layer}"))
        is_last = layer == len(sizes) - 2
        output = "y" if is_last else f"h{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [output]))
        if not is_last:
            value = f"r{layer}"
            nodes.append(helper.make_node("Relu", [output], [value]))
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", sizes[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", sizes[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data
