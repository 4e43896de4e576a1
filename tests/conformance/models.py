"""The repository that the clients ask: tiny graphs, each for one thing that a client can get wrong."""

from pathlib import Path

import numpy as np
from onnx import helper

from models.blocks import ClassificationPostprocessing, TensorPreprocessing
from models.datatypes import TYPES, DataType
from models.manifest import Batching, ManifestDraft
from models.publish import publish
from tests.service import graphs
from tests.service.graphs import Tiny, spec

LABELS = ["ant", "bee", "cat"]
IDENTITIES = {f"identity-{info.v2.lower()}": info for info in TYPES}
FULL_BATCH = 4


def publish_all(repository: Path, scratch: Path) -> None:
    for name, info in IDENTITIES.items():
        graphs.identity(info.onnx, 2).publish(repository, name, scratch)
    add_sub().publish(repository, "add-sub", scratch)
    graphs.doubler().publish(repository, "double", scratch)
    variable().publish(repository, "variable", scratch)
    unbatched_text().publish(repository, "text", scratch)
    # Waits for company long enough for a test's requests to meet, and not when the batch is full.
    waits = Batching(
        max_batch_size=FULL_BATCH, max_queue_delay_microseconds=1_000_000, priority_levels=2
    )
    crowd().publish(repository, "crowd", scratch, batching=waits)
    graphs.slow(300_000).publish(repository, "slow", scratch, batching=Batching(max_batch_size=1))
    urgent = Batching(max_batch_size=1, priority_levels=2, instance_group=1)
    graphs.slow(100_000).publish(repository, "urgent", scratch, batching=urgent)
    for _ in range(2):
        graphs.identity().publish(repository, "versions", scratch)
    _publish_labelled(repository, scratch)


def add_sub() -> Tiny:
    """sum = a + b, difference = a − b, INT32 [batch, 4]."""
    axes = ("batch", 4)
    return Tiny(
        [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Sub", ["a", "b"], ["diff"]),
        ],
        [spec("a", DataType.INT32, axes), spec("b", DataType.INT32, axes)],
        [spec("sum", DataType.INT32, axes), spec("diff", DataType.INT32, axes)],
    )


def variable() -> Tiny:
    """y = x + x, FP32 [batch, time, 2]: one axis beside the batch is free."""
    axes = ("batch", "time", 2)
    return Tiny(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [spec("x", DataType.FLOAT, axes)],
        [spec("y", DataType.FLOAT, axes)],
    )


def unbatched_text() -> Tiny:
    """y = x, one string, no batch axis."""
    return Tiny(
        [helper.make_node("Identity", ["x"], ["y"])],
        [spec("x", DataType.STRING, [1], batch_axis=None)],
        [spec("y", DataType.STRING, [1], batch_axis=None)],
    )


def crowd() -> Tiny:
    """y = x; size = how many items were in the very run that answered, INT64 [batch, 1]."""
    return Tiny(
        [
            helper.make_node("Identity", ["x"], ["y"]),
            helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
            helper.make_node("Concat", ["rows", "one"], ["target"], axis=0),
            helper.make_node("Expand", ["rows", "target"], ["size"]),
        ],
        [spec("x", DataType.FLOAT, ["batch", 1])],
        [spec("y", DataType.FLOAT, ["batch", 1]), spec("size", DataType.INT64, ["batch", 1])],
        {"one": np.array([1])},
    )


def _publish_labelled(repository: Path, scratch: Path) -> None:
    """y = x with a label for each of its three values."""
    staged = scratch / "staged-labelled"
    staged.mkdir()
    tiny = graphs.identity()
    (staged / "model.onnx").write_bytes(tiny.data)
    (staged / "labels.txt").write_text("\n".join(LABELS))
    draft = ManifestDraft(
        name="labelled",
        task="tensor",
        inputs=tiny.inputs,
        outputs=tiny.outputs,
        preprocessing=TensorPreprocessing(),
        postprocessing=ClassificationPostprocessing(output="y"),
        batching=Batching(max_batch_size=8),
    )
    publish(repository, draft, staged)
