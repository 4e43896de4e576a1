"""The golden exam: inputs and the answers they gave at export, replayed before a model may serve."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import ExamFailed, IntegrityError
from models.manifest import Tolerance

Arrays = dict[str, np.ndarray]

_INPUT, _OUTPUT = "input.", "output."


@dataclass(frozen=True)
class Golden:
    """Named arrays with their batch axis; `outputs` may hold only some of the graph's outputs."""

    inputs: Arrays
    outputs: Arrays

    def save(self, path: Path) -> None:
        """Write a compressed .npz. String tensors are stored as fixed-width unicode, never pickled."""
        named = {_INPUT + name: value for name, value in self.inputs.items()}
        named |= {_OUTPUT + name: value for name, value in self.outputs.items()}
        plain = {
            key: value.astype(str) if value.dtype == object else value
            for key, value in named.items()
        }
        # numpy's stub takes the names for its own keyword `allow_pickle`
        np.savez_compressed(path, **plain)  # type: ignore[arg-type]

    @classmethod
    def from_bytes(cls, data: bytes) -> "Golden":
        """Raises IntegrityError when the archive is not one that `save` writes."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {key: _from_plain(archive[key]) for key in archive.files}
        except Exception as error:  # zipfile, zlib, numpy: many kinds become one
            raise IntegrityError("golden.npz cannot be read") from error
        inputs = {
            key.removeprefix(_INPUT): v for key, v in arrays.items() if key.startswith(_INPUT)
        }
        outputs = {
            key.removeprefix(_OUTPUT): v for key, v in arrays.items() if key.startswith(_OUTPUT)
        }
        if not inputs or not outputs or len(inputs) + len(outputs) != len(arrays):
            raise IntegrityError("golden.npz must hold `input.*` and `output.*` arrays")
        return cls(inputs, outputs)

    def compare(self, answers: Mapping[str, np.ndarray], tolerance: Tolerance) -> float:
        """Largest absolute difference over all outputs. Raises ExamFailed when one is out of tolerance."""
        worst = 0.0
        for name, expected in self.outputs.items():
            if name not in answers:
                raise ExamFailed(f"golden exam: the model gave no output {name!r}")
            worst = max(worst, _compare(name, expected, answers[name], tolerance))
        return worst


def _from_plain(array: np.ndarray) -> np.ndarray:
    return array.astype(object) if array.dtype.kind == "U" else array


def _compare(name: str, expected: np.ndarray, answer: np.ndarray, tolerance: Tolerance) -> float:
    if expected.shape != answer.shape:
        raise ExamFailed(
            f"golden exam: {name!r} has shape {answer.shape}, expected {expected.shape}"
        )
    if expected.dtype.kind != "f":
        if not np.array_equal(expected, answer):
            raise ExamFailed(f"golden exam: {name!r} gave other values than at export")
        return 0.0
    reference, given = expected.astype(np.float64), answer.astype(np.float64)
    close = np.isclose(given, reference, rtol=tolerance.rtol, atol=tolerance.atol, equal_nan=True)
    difference = np.abs(given - reference)
    worst = (
        float(np.nanmax(difference)) if difference.size and not np.isnan(difference).all() else 0.0
    )
    if not close.all():
        raise ExamFailed(
            f"golden exam: {name!r} differs by up to {worst:.3g} "
            f"(allowed: {tolerance.atol:g} + {tolerance.rtol:g}·|value|)"
        )
    return worst
