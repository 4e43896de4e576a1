"""Two ways to ask a model the same question: torch, and ONNX Runtime on the exported graph.

Both have the type `Predict`, so that evaluation, verification and the judgement of variants cannot tell
them apart. A kind of work whose graph carries state brings its own through the hooks of `Work`.
"""

from collections.abc import Mapping
from pathlib import Path

import onnxruntime
import torch

from training.errors import ExportFailed
from training.work import Array, Arrays, ExportPlan, Predict

_ONNXRUNTIME_ERRORS_ONLY = 3


def torch_predict(plan: ExportPlan, device: torch.device) -> Predict:
    """Ask `plan.module`, moved to `device`."""
    module = plan.module.to(device).eval()

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        tensors = [torch.from_numpy(inputs[spec.name]).to(device) for spec in plan.inputs]
        with torch.inference_mode():
            answer = module(*tensors)
        answers = answer if isinstance(answer, tuple) else (answer,)
        return {
            spec.name: tensor.cpu().numpy()
            for spec, tensor in zip(plan.outputs, answers, strict=True)
        }

    return predict


def onnx_predict(graph: Path) -> Predict:
    """Ask the graph in `graph` on the CPU. Raises ExportFailed when it cannot be loaded."""
    session = open_session(graph)
    outputs = [output.name for output in session.get_outputs()]

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        answers = session.run(outputs, dict(inputs))
        return dict(zip(outputs, answers, strict=True))

    return predict


def open_session(graph: Path) -> onnxruntime.InferenceSession:
    """A CPU session. ONNX Runtime's word counts: the exporter also writes graphs nobody can load."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONNXRUNTIME_ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base class; the run ends with one line
        first = str(error).strip().splitlines()[0]
        raise ExportFailed(f"ONNX Runtime refuses the exported graph: {first}") from error
