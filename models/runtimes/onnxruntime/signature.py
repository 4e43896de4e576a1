"""What ONNX Runtime sees in a graph, held against the manifest."""

import onnxruntime as ort

from models.runtimes import signature
from models.runtimes.graph import Graph


def check_signature(session: ort.InferenceSession, graph: Graph) -> None:
    """Raises GraphRefused naming the first tensor that differs."""
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = {node.name: node.type for node in session.get_outputs()}
    signature.check_signature(graph, inputs, outputs)
