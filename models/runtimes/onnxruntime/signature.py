"""Names and types of a graph must be the manifest's; a mismatch would surface as bad answers."""

import onnxruntime as ort

from models.datatypes import BY_ONNX
from models.manifest import TensorSpec
from models.runtimes.base import GraphRefused
from models.runtimes.graph import Graph


def check_signature(session: ort.InferenceSession, graph: Graph) -> None:
    """Raises GraphRefused naming the first tensor that differs."""
    for side, nodes, specs in (
        ("input", session.get_inputs(), graph.inputs),
        ("output", session.get_outputs(), graph.outputs),
    ):
        found = {node.name: node.type for node in nodes}
        _check_side(side, found, specs, complete=side == "input")


def _check_side(
    side: str, found: dict[str, str], specs: tuple[TensorSpec, ...], *, complete: bool
) -> None:
    for spec in specs:
        wanted = BY_ONNX[spec.dtype.value].ort
        if found.get(spec.name) != wanted:
            has = found.get(spec.name, "nothing of that name")
            raise GraphRefused(
                f"{side} {spec.name!r} is {wanted} in the manifest, {has} in the graph"
            )
    unnamed = sorted(set(found) - {spec.name for spec in specs})
    if complete and unnamed:
        raise GraphRefused(
            f"the graph needs {side} {unnamed[0]!r}, which the manifest does not name"
        )
