"""Ways to make a smaller graph of an fp32 one: a table from precision name to function.

Used by `training.optimize`, which measures what comes out; nothing here promises accuracy. The names
are the `precision` of a Variant.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
from onnxruntime.quantization import quantize_dynamic as ort_quantize_dynamic
from onnxruntime.quantization import quantize_static as ort_quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from training import weight_only
from training.errors import ExportFailed
from training.graph_file import remove_graph
from training.predict import open_session
from training.work import Arrays

Quantizer = Callable[[Path, Path, Iterable[Arrays]], None]


def quantize(precision: str, source: Path, target: Path, rows: Iterable[Arrays]) -> None:
    """Write the variant `precision` of `source` to `target`. Raises ExportFailed with the reason."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            if precision in weight_only.BITS:
                # Shapes stay as they are: those of the attention's kernel could not be inferred anew.
                weight_only.compress(precision, source, target)
            else:
                bare, prepared = Path(folder) / "bare.onnx", Path(folder) / "prepared.onnx"
                _drop_shapes(source, bare)
                quant_pre_process(bare, prepared, skip_symbolic_shape=True)
                QUANTIZERS[precision](prepared, target, rows)
            open_session(target)
    except Exception as error:  # the quantizer raises any kind; the variant is dropped with a line
        remove_graph(target)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportFailed(reason[0]) from error


def _drop_shapes(source: Path, target: Path) -> None:
    """The exporter's notes on inner shapes go stale when weights are transposed: infer them anew."""
    model = onnx.load(source)
    del model.graph.value_info[:]
    onnx.save_model(model, target)


def _int8_dynamic(source: Path, target: Path, _: Iterable[Arrays]) -> None:
    """Weights of matrix products in int8; activations are measured at run time.

    Convolutions are left alone: ONNX Runtime's integer convolution of this form is slower than fp32.
    """
    ort_quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul", "Gemm", "Gather", "EmbedLayerNormalization"],
        per_channel=False,
        weight_type=QuantType.QInt8,
    )


def _int8_static(source: Path, target: Path, rows: Iterable[Arrays]) -> None:
    """Weights and activations in int8, ranges learned from `rows`.

    Weights use 7 bits (`reduce_range`): with 8, sums saturate on processors without VNNI, and the
    accuracy measured here would not hold there.
    """
    ort_quantize_static(
        source,
        target,
        _Rows(rows),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


QUANTIZERS: dict[str, Quantizer] = {"int8-dynamic": _int8_dynamic, "int8-static": _int8_static}


class _Rows(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no type information
    def __init__(self, rows: Iterable[Arrays]) -> None:
        self._rows = iter(rows)

    def get_next(self) -> Arrays | None:
        return next(self._rows, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer logs advice and tracebacks through the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        root.setLevel(level)
