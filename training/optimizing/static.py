"""Static int8: QDQ graphs with a scale per channel of weights, and ranges of activations from data.

How a graph comes about:
    0. in a transformer's, activations are smoothed first (`smoothing`), and products alone are in int8: what
       they read is rounded, what they answer is not
    1. every calibrator learns ranges; the one whose graph answers closest to the reference is taken
    2. a graph over budget gets layers back (`giving_back`)

Both choices are made on rows that are neither calibrated with nor judged on, so that the figures on the test
split stay honest; the budget alone, a yes or no, is asked of that split.

Weights have 8 bits where the processor multiplies 8-bit numbers into 32 bits (VNNI, AMX, ARM), else 7: an
older processor's products saturate at 16 bits. A graph of 8 bits that comes to such a processor sits its
golden exam there like any other: answers that saturation spoiled are out of tolerance, and it is not served.

QDQ: pairs of QuantizeLinear and DequantizeLinear around what is computed in int8. ONNX Runtime fuses them
into integer kernels, OpenVINO into its own; the file is the same.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from models.runtimes.hardware import this_machine
from training.errors import ExportFailed
from training.graph_file import remove_graph
from training.optimizing.calibration import (
    CALIBRATORS,
    MINMAX,
    Calibrator,
    learn_ranges,
    small_batches,
)
from training.optimizing.giving_back import Error, Found, Judge, Tell, give_back, layers
from training.optimizing.rows import require_rows
from training.optimizing.smoothing import smooth
from training.optimizing.subject import Subject
from training.optimizing.targets import Target
from training.optimizing.timing import Patience
from training.quantize import prepare, quiet
from training.work import Arrays

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# What passes values on: in int8 as well, so that they are not widened and narrowed between two layers.
_PASSING = (
    "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Pad",
    "Relu", "Reshape", "Resize", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
# A graph with these computes with them in floating point between any two products.
_FLOATING = frozenset({"LayerNormalization", "Softmax", "LSTM", "GRU", "RNN"})
_WIDE_PRODUCTS = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "neon_dotprod", "neon_i8mm"})
_CHOOSING_PART = 4  # one batch in so many chooses, the others calibrate


@dataclass(frozen=True)
class Effort:
    """How long may be searched."""

    calibrators: tuple[Calibrator, ...]
    gives_layers_back: bool
    patience: Patience


QUICK = Effort((MINMAX,), gives_layers_back=False, patience=Patience(turns_s=0.5, burst_s=0.05))
THOROUGH = Effort(CALIBRATORS, gives_layers_back=True, patience=Patience(turns_s=3.0, burst_s=0.4))


def make(subject: Subject, target: Target, effort: Effort, judge: Judge, tell: Tell) -> Found:
    """Write `target.file`, the best graph that was found, within budget or not. Raises ExportFailed with the
    reason, DataError without rows."""
    file = subject.folder / str(target.file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="slipway-int8-") as folder, quiet():
        try:
            return _Search(subject, target, Path(folder), file, tell).run(effort, judge)
        except BaseException:  # goes on to the caller; half a variant must not stay
            remove_graph(file)
            raise


class _Search:
    def __init__(
        self, subject: Subject, target: Target, scratch: Path, file: Path, tell: Tell
    ) -> None:
        self._subject, self._target, self._scratch = subject, target, scratch
        self._file, self._tell = file, tell
        self._prepared = scratch / "prepared.onnx"
        batches = list(small_batches(subject.calibration()))
        for batch in batches:
            require_rows("calibration rows", batch, subject.inputs)
        self._learning, choosing = _two_parts(batches)
        self._error = Error(subject, target, choosing)

    def run(self, effort: Effort, judge: Judge) -> Found:
        prepare(self._subject.graph, self._prepared)
        graph = onnx.load(self._prepared).graph
        self._layers = layers(graph, _WEIGHTED)
        if not self._layers:
            raise ExportFailed("no layer of this graph can be computed in int8")
        self._op_types = op_types(graph)
        self._is_floating = self._op_types == _WEIGHTED
        self._never = products_of_two(graph)
        if self._is_floating:
            self._tell(f"{self._target.name}: smoothing")
            smooth(self._prepared, self._learning, self._prepared)
        calibrator = self._best_calibrator(effort.calibrators)
        self._quantize(self._file, calibrator)
        if not effort.gives_layers_back or not judge():
            return Found(calibrator.name, len(self._layers), ())
        alone = give_back(
            self._layers,
            self._target,
            (self._file, self._scratch / "trial.onnx"),
            lambda to, without, only: self._quantize(to, calibrator, without=without, only=only),
            self._error,
            judge,
            self._tell,
        )
        return Found(calibrator.name, len(self._layers), alone)

    def _best_calibrator(self, calibrators: Sequence[Calibrator]) -> Calibrator:
        errors: dict[str, float] = {}
        for calibrator in calibrators:
            self._tell(f"{self._target.name}: calibrating, {calibrator.name}")
            ranges = self._ranges(calibrator)
            learn_ranges(self._prepared, self._learning, calibrator, self._op_types, ranges)
            if len(calibrators) > 1:
                trial = self._scratch / "trial.onnx"
                self._quantize(trial, calibrator)
                errors[calibrator.name] = self._error.of(trial)
        return min(calibrators, key=lambda one: errors.get(one.name, 0.0))

    def _quantize(
        self,
        target: Path,
        calibrator: Calibrator,
        *,
        without: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> None:
        quantize_static(
            self._prepared,
            target,
            calibration_cache_path=self._ranges(calibrator),
            calibrate_method=calibrator.method,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(self._op_types),
            nodes_to_quantize=list(only),
            nodes_to_exclude=[*without, *self._never],
            per_channel=True,
            reduce_range=not multiplies_8_bits(),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Rounding what comes out would be for nothing: what reads it is floating point.
            extra_options={"OpTypesToExcludeOutputQuantization": list(_WEIGHTED)}
            if self._is_floating
            else {},
        )

    def _ranges(self, calibrator: Calibrator) -> Path:
        return self._scratch / f"{calibrator.name}.json"


def op_types(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Products alone where values are floating point between them anyway; else what passes values on too."""
    if any(node.op_type in _FLOATING for node in graph.node):
        return _WEIGHTED
    return _WEIGHTED + _PASSING


def products_of_two(graph: onnx.GraphProto) -> list[str]:
    """Names of products of two activations, as in attention: in int8 they lose much and gain little. (The
    quantizer's own MatMulConstBOnly does not hold for QDQ, onnxruntime 1.31.1.)"""
    weights = {weight.name for weight in graph.initializer}
    products = (node for node in graph.node if node.op_type in ("MatMul", "Gemm"))
    return [node.name for node in products if weights.isdisjoint(node.input[:2])]


def multiplies_8_bits() -> bool:
    """Whether this processor adds products of 8-bit numbers up in 32 bits."""
    return not _WIDE_PRODUCTS.isdisjoint(this_machine().instruction_sets)


def _two_parts(batches: list[Arrays]) -> tuple[list[Arrays], list[Arrays]]:
    """(calibrating, choosing); of a single batch its first and its last rows."""
    if len(batches) == 1:
        [only] = batches
        cut = max(1, len(next(iter(only.values()))) * (_CHOOSING_PART - 1) // _CHOOSING_PART)
        parts = [
            {name: array[part] for name, array in only.items()}
            for part in (slice(None, cut), slice(-max(1, cut // _CHOOSING_PART), None))
        ]
        return parts[:1], parts[1:]
    choosing = batches[_CHOOSING_PART - 1 :: _CHOOSING_PART] or batches[-1:]
    chosen = {id(batch) for batch in choosing}
    return [batch for batch in batches if id(batch) not in chosen], choosing
