"""A convolutional network of a wanted duration: a small input, much work, and nothing gained by batching.

Made for measuring queues: a request costs the generator and the front end next to nothing, and the
capacity is simply cores divided by duration. Layers are added until one run on one thread takes as long
as asked for on this machine.
"""

import time
from pathlib import Path
from statistics import median

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.manifest import MODEL_FILE, Batching, ManifestDraft, TensorSpec
from models.publish import publish

NAME = "convolutions"
_SIDE, _CHANNELS, _CLASSES = 16, 64, 10
_PROBE_LAYERS, _PROBE_RUNS = 10, 30


def publish_convolutions(repository: Path, staged: Path, wanted_ms: float) -> int:
    """As model `convolutions`: x [batch, 1, 16, 16] FLOAT → y [batch, 10]. Returns its layers."""
    staged.mkdir(parents=True)
    layers = max(1, round(_PROBE_LAYERS * wanted_ms / _duration_ms(_graph(_PROBE_LAYERS))))
    (staged / MODEL_FILE).write_bytes(_graph(layers))
    shape: tuple[int | str, ...] = ("batch", 1, _SIDE, _SIDE)
    draft = ManifestDraft(
        name=NAME,
        task="tensor",
        inputs=(TensorSpec(name="x", dtype=DataType.FLOAT, shape=shape),),
        outputs=(TensorSpec(name="y", dtype=DataType.FLOAT, shape=("batch", _CLASSES)),),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
        batching=Batching(max_batch_size=8),
    )
    publish(repository, draft, staged)
    return layers


def convolutions_input() -> np.ndarray:
    """One item."""
    return np.random.default_rng(3).standard_normal((1, 1, _SIDE, _SIDE)).astype(np.float32)


def _duration_ms(graph: bytes) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    took_s = []
    for _ in range(_PROBE_RUNS):
        began = time.perf_counter()
        session.run(None, {"x": convolutions_input()})
        took_s.append(time.perf_counter() - began)
    return median(took_s) * 1e3


def _graph(layers: int) -> bytes:
    dice = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    value, before = "x", 1
    for layer in range(layers):
        scale = (2 / (9 * before)) ** 0.5
        kernel = dice.standard_normal((_CHANNELS, before, 3, 3)).astype(np.float32) * scale
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{layer}"))
        nodes.append(
            helper.make_node("Conv", [value, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        value, before = f"r{layer}", _CHANNELS
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    head = dice.standard_normal((_CHANNELS, _CLASSES)).astype(np.float32)
    weights.append(numpy_helper.from_array(head, "head"))
    nodes.append(helper.make_node("Gemm", ["flat", "head"], ["y"]))
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, _SIDE, _SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", _CLASSES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data
