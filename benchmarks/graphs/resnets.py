"""ResNet-18 and ResNet-50 with random weights: what a convolutional network costs, without a download.

The graphs are those of He et al. 2015 ("Deep Residual Learning for Image Recognition", table 1; the 3×3
convolution of a bottleneck carries the stride) with batch normalisation folded into the convolutions, as
every exporter does before inference. Weights are random: time does not depend on them, and answers mean
nothing, unless a net is given pictures (`benchmarks.graphs.net`).
"""

from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.graphs.net import Net
from benchmarks.graphs.pictures import Pictures
from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import GOLDEN_FILE, MODEL_FILE, Batching, ManifestDraft, TensorSpec
from models.publish import publish

SIDE = 224
CLASSES = 1000
# Of what a block adds to what it passes on. Training begins with blocks that add nothing (Goyal et al. 2017,
# "Accurate, Large Minibatch SGD", 5.1); where all of fifty layers add as much as they pass on, the noise of
# eight bits adds up to more than what tells two pictures apart.
_BRANCH_SPREAD = 0.15
SEEN = 8  # pictures that every layer looks at while the net is made; all inner values are kept meanwhile
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


def resnet(depth: Literal[18, 50], pictures: Pictures | None = None) -> bytes:
    """The ONNX graph; its last layer fitted to `pictures`, the first of which it may look at, if given."""
    net = Net(None if pictures is None else pictures.pixels[:SEEN])
    value = net.relu(net.convolution("x", 3, 64, kernel=7, stride=2))
    value = net.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (blocks, width) in enumerate(zip(_STAGES[depth], _WIDTHS, strict=True)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            if depth == 18:
                value, channels = _basic(net, value, channels, width, stride)
            else:
                value, channels = _bottleneck(net, value, channels, width, stride)
    value = net.node("GlobalAveragePool", [value])
    value = net.node("Flatten", [value])
    if pictures is None:
        net.gemm(value, channels, CLASSES, "y")
    else:
        net.fit(value, *pictures, CLASSES)
    return net.serialized(("batch", 3, SIDE, SIDE), CLASSES)


def _basic(net: Net, x: str, before: int, width: int, stride: int) -> tuple[str, int]:
    value = net.relu(net.convolution(x, before, width, 3, stride))
    value = net.convolution(value, width, width, 3, spread=_BRANCH_SPREAD)
    return _join(net, x, value, before, width, stride), width


def _bottleneck(net: Net, x: str, before: int, width: int, stride: int) -> tuple[str, int]:
    after = 4 * width
    value = net.relu(net.convolution(x, before, width, 1))
    value = net.relu(net.convolution(value, width, width, 3, stride))
    value = net.convolution(value, width, after, 1, spread=_BRANCH_SPREAD)
    return _join(net, x, value, before, after, stride), after


def _join(net: Net, x: str, value: str, before: int, after: int, stride: int) -> str:
    if before != after or stride != 1:
        x = net.convolution(x, before, after, 1, stride)
    return net.relu(net.node("Add", [x, value]))
