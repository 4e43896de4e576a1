"""Names and types of a graph must be the manifest's; a mismatch would surface as bad answers."""

from collections.abc import Mapping

from models.datatypes import BY_ONNX
from models.manifest import TensorSpec
from models.runtimes.base import GraphRefused
from models.runtimes.graph import Graph


def check_signature(graph: Graph, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """`inputs`, `outputs`: what the runtime sees, name → type in ONNX Runtime's words. Outputs may be more
    than the manifest names. Raises GraphRefused naming the first tensor that differs."""
    _check_side("input", inputs, graph.inputs)
    _check_side("output", outputs, graph.outputs)
    unnamed = sorted(set(inputs) - {spec.name for spec in graph.inputs})
    if unnamed:
        raise GraphRefused(
            f"the graph needs input {unnamed[0]!r}, which the manifest does not name"
        )


def _check_side(side: str, found: Mapping[str, str], specs: tuple[TensorSpec, ...]) -> None:
    for spec in specs:
        wanted = BY_ONNX[spec.dtype.value].ort
        if found.get(spec.name) != wanted:
            has = found.get(spec.name, "nothing of that name")
            raise GraphRefused(
                f"{side} {spec.name!r} is {wanted} in the manifest, {has} in the graph"
            )
