"""Ranges of the values between a graph's operators, learned from rows: what static int8 rounds to.

Several calibrators, because none is best everywhere: the extremes keep outliers and waste levels on them, a
percentile cuts them off, entropy (S. Migacz 2017) looks for the range whose rounding loses least. ONNX
Runtime's own; rows are fed to them in small batches, so that memory holds the inner values of one batch.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data

from training.errors import DataError
from training.work import Arrays

_BATCH = 16  # rows whose inner values are in memory at once
_MOST_VALUES = 1 << 24  # of all inputs together: 111 pictures of 3×224×224
_LEAST_ROWS, _MOST_ROWS = 32, 512


@dataclass(frozen=True)
class Calibrator:
    """`options`: ONNX Runtime's words for the method's parameters."""

    name: str
    method: CalibrationMethod
    options: Mapping[str, Any]


MINMAX = Calibrator("minmax", CalibrationMethod.MinMax, {})
CALIBRATORS = (
    MINMAX,
    Calibrator("entropy", CalibrationMethod.Entropy, {"symmetric": False}),
    Calibrator(
        "percentile-99.99",
        CalibrationMethod.Percentile,
        {"symmetric": False, "percentile": 99.99},
    ),
    Calibrator(
        "percentile-99.9", CalibrationMethod.Percentile, {"symmetric": False, "percentile": 99.9}
    ),
)


def small_batches(batches: Iterable[Arrays]) -> Iterator[Arrays]:
    """The same rows a few at a time, and no more of them than ranges need."""
    rows = 0
    for batch in batches:
        size = len(next(iter(batch.values())))
        per_row = sum(array[0].size for array in batch.values()) if size else 1
        limit = min(_MOST_ROWS, max(_LEAST_ROWS, _MOST_VALUES // max(1, per_row)))
        for start in range(0, size, _BATCH):
            if rows >= limit:
                return
            part = {name: array[start : start + _BATCH] for name, array in batch.items()}
            rows += len(next(iter(part.values())))
            yield part


def learn_ranges(
    prepared: Path,
    rows: Sequence[Arrays],
    calibrator: Calibrator,
    op_types: Sequence[str],
    target: Path,
) -> None:
    """Write the ranges of every value that operators of `op_types` read or give to `target`, JSON.

    Raises DataError without rows, and whatever ONNX Runtime raises on rows that the graph does not take.
    """
    if not rows:
        raise DataError("there are no rows to calibrate with")
    with (
        tempfile.TemporaryDirectory(prefix="slipway-calibration-") as folder,
        contextlib.redirect_stdout(io.StringIO()),  # it tells its progress by printing
    ):
        collector = create_calibrator(
            prepared,
            list(op_types),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=calibrator.method,
            extra_options=dict(calibrator.options),
        )
        for batch in rows:
            collector.collect_data(_OneBatch(batch))
        found = collector.compute_data()
    save_tensors_data(found, target)


class _OneBatch(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no type information
    def __init__(self, batch: Arrays) -> None:
        self._left: list[Arrays] = [batch]

    def get_next(self) -> Arrays | None:
        return self._left.pop() if self._left else None
