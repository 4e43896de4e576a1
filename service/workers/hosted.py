"""A model as front ends know it: the handle that crosses instead of its name, and how its tensors cross."""

from dataclasses import dataclass

from models.bundle import Bundle
from models.datatypes import BY_ONNX, TypeInfo
from service.workers.base import ModelKey


@dataclass(frozen=True)
class Hosted:
    """`inputs`, `input_types` and `outputs` in manifest order, which is the order they cross in.

    Handles are given by the primary front end alone and never a second time.
    """

    key: ModelKey
    handle: int
    inputs: tuple[str, ...]
    input_types: tuple[TypeInfo, ...]
    outputs: tuple[str, ...]
    is_generation: bool

    @classmethod
    def of(cls, bundle: Bundle, handle: int) -> "Hosted":
        manifest = bundle.manifest
        return cls(
            ModelKey(bundle.name, bundle.version),
            handle,
            tuple(spec.name for spec in manifest.inputs),
            tuple(BY_ONNX[spec.dtype.value] for spec in manifest.inputs),
            tuple(spec.name for spec in manifest.outputs),
            manifest.runner == "generation",
        )
