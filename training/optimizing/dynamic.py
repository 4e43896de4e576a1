"""Dynamic int8: weights of matrix products in int8, a scale per column; activations measured in every run.

One scale spans all that a run sees, so that rows depend on each other: such a variant is judged and served
one row at a time (`alone`). Layers whose activations have outliers are given back where the budget asks for
it.

Convolutions are left alone: ONNX Runtime's integer convolution of this form is slower than fp32.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from training.errors import ExportFailed
from training.graph_file import remove_graph
from training.optimizing.calibration import small_batches
from training.optimizing.giving_back import Error, Found, Judge, Tell, give_back, layers
from training.optimizing.static import Effort
from training.optimizing.subject import Subject
from training.optimizing.targets import Target
from training.quantize import prepare, quiet

_PRODUCTS = ("MatMul", "Gemm")
_TABLES = ("Gather", "EmbedLayerNormalization")
_CHOOSING_BATCHES = 4


def make(subject: Subject, target: Target, effort: Effort, judge: Judge, tell: Tell) -> Found:
    """Write `target.file`. Raises ExportFailed with the reason."""
    file = subject.folder / str(target.file)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with quiet(), tempfile.TemporaryDirectory(prefix="slipway-int8-") as folder:
            return _make(subject, target, effort, judge, tell, Path(folder))
    except BaseException as error:  # goes on to the caller; half a variant must not stay
        remove_graph(file)
        if not isinstance(error, Exception) or isinstance(error, ExportFailed):
            raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportFailed(reason[0]) from error


def _make(
    subject: Subject, target: Target, effort: Effort, judge: Judge, tell: Tell, folder: Path
) -> Found:
    file, prepared = subject.folder / str(target.file), folder / "prepared.onnx"
    prepare(subject.graph, prepared)
    names = layers(onnx.load(prepared).graph, _PRODUCTS)
    if not names:
        raise ExportFailed("no layer of this graph is a matrix product")

    def write(to: Path, without: Sequence[str], only: Sequence[str]) -> None:
        quantize_dynamic(
            prepared,
            to,
            op_types_to_quantize=[*_PRODUCTS, *_TABLES],
            nodes_to_quantize=list(only),
            nodes_to_exclude=list(without),
            per_channel=True,
            weight_type=QuantType.QInt8,
        )

    write(file, (), ())
    if not effort.gives_layers_back or not judge():
        return Found("", len(names), ())
    rows = list(small_batches(subject.calibration()))[:_CHOOSING_BATCHES]
    if not rows:
        return Found("", len(names), ())
    files = (file, folder / "trial.onnx")
    error = Error(subject, target, rows)
    return Found("", len(names), give_back(names, target, files, write, error, judge, tell))
