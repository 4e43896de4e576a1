"""ResNet-18 and ResNet-50 with random weights: what a convolutional network costs, without a download.

The graphs are those of He et al. 2015 ("Deep Residual Learning for Image Recognition", table 1; the 3×3
convolution of a bottleneck carries the stride) with batch normalisation folded into the convolutions, as
every exporter does before inference. Weights are random: time does not depend on them, answers mean nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import GOLDEN_FILE, MODEL_FILE, Batching, ManifestDraft, TensorSpec
from models.publish import publish

SIDE = 224
CLASSES = 1000
_STAGES: dict[int, tuple[int, ...]] = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
_WIDTHS = (64, 128, 256, 512)


def publish_resnet(
    repository: Path, staged: Path, depth: Literal[18, 50], max_batch_size: int = 8
) -> None:
    """As model `resnet-18` or `resnet-50`: x [batch, 3, 224, 224] FLOAT → y [batch, 1000]."""
    staged.mkdir(parents=True)
    graph = resnet(depth)
    (staged / MODEL_FILE).write_bytes(graph)
    golden_of(graph).save(staged / GOLDEN_FILE)
    draft = ManifestDraft(
        name=f"resnet-{depth}",
        task="tensor",
        inputs=(TensorSpec(name="x", dtype=DataType.FLOAT, shape=("batch", 3, SIDE, SIDE)),),
        outputs=(TensorSpec(name="y", dtype=DataType.FLOAT, shape=("batch", CLASSES)),),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
        batching=Batching(max_batch_size=max_batch_size),
    )
    publish(repository, draft, staged)


def golden_of(graph: bytes) -> Golden:
    """One picture of noise and what the graph says to it."""
    import onnxruntime

    x = np.random.default_rng(1).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return Golden({"x": x}, {"y": session.run(["y"], {"x": x})[0]})


def resnet(depth: Literal[18, 50]) -> bytes:
    """The ONNX graph."""
    net = _Net()
    value = net.relu(net.convolution("x", 3, 64, kernel=7, stride=2))
    value = net.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (blocks, width) in enumerate(zip(_STAGES[depth], _WIDTHS, strict=True)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            if depth == 18:
                value, channels = net.basic(value, channels, width, stride)
            else:
                value, channels = net.bottleneck(value, channels, width, stride)
    value = net.node("GlobalAveragePool", [value])
    value = net.node("Flatten", [value])
    net.gemm(value, channels, CLASSES)
    return net.serialized()


class _Net:
    """Nodes and weights as they are made; letters: channels in, channels out, kernel side."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def weight(self, *shape: int, scale: float) -> str:
        name = f"w{len(self._weights)}"
        array = (self._random.standard_normal(shape) * scale).astype(np.float32)
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def convolution(self, x: str, before: int, after: int, kernel: int, stride: int = 1) -> str:
        scale = (2 / (before * kernel * kernel)) ** 0.5
        weight = self.weight(after, before, kernel, kernel, scale=scale)
        bias = self.weight(after, scale=0.0)
        pads = [kernel // 2] * 4
        return self.node("Conv", [x, weight, bias], strides=[stride, stride], pads=pads)

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def basic(self, x: str, before: int, width: int, stride: int) -> tuple[str, int]:
        value = self.relu(self.convolution(x, before, width, 3, stride))
        value = self.convolution(value, width, width, 3)
        return self._join(x, value, before, width, stride), width

    def bottleneck(self, x: str, before: int, width: int, stride: int) -> tuple[str, int]:
        after = 4 * width
        value = self.relu(self.convolution(x, before, width, 1))
        value = self.relu(self.convolution(value, width, width, 3, stride))
        value = self.convolution(value, width, after, 1)
        return self._join(x, value, before, after, stride), after

    def gemm(self, x: str, before: int, after: int) -> None:
        weight = self.weight(before, after, scale=before**-0.5)
        self._nodes.append(helper.make_node("Gemm", [x, weight], ["y"]))

    def serialized(self) -> bytes:
        graph = helper.make_graph(
            self._nodes,
            "resnet",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])],
            self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        data: bytes = model.SerializeToString()
        return data

    def _join(self, x: str, value: str, before: int, after: int, stride: int) -> str:
        if before != after or stride != 1:
            x = self.convolution(x, before, after, 1, stride)
        return self.relu(self.node("Add", [x, value]))
