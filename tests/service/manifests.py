"""Manifests without a bundle, for what needs only the signature."""

from collections.abc import Sequence

from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.manifest import Batching, FileEntry, Manifest, TensorSpec

Input = TensorSpec | tuple[str, DataType, tuple[int | str, ...]]


def _spec(given: Input) -> TensorSpec:
    if isinstance(given, TensorSpec):
        return given
    name, dtype, shape = given
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def manifest_of(
    inputs: Sequence[Input],
    outputs: Sequence[Input] = (("y", DataType.FLOAT, ("batch", "width")),),
    batching: Batching | None = None,
) -> Manifest:
    return Manifest(
        name="m",
        version=1,
        created_at="2026-01-01T00:00:00+00:00",
        task="tensor",
        inputs=tuple(map(_spec, inputs)),
        outputs=tuple(map(_spec, outputs)),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
        batching=batching or Batching(max_batch_size=8),
        files={"model.onnx": FileEntry(sha256="0" * 64, size_bytes=1)},
    )


def vector(width: int) -> Manifest:
    """x FLOAT [batch, width] → y FLOAT [batch, width]."""
    shape = ("batch", width)
    return manifest_of([("x", DataType.FLOAT, shape)], [("y", DataType.FLOAT, shape)])
