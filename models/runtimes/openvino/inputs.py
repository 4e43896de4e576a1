"""What a runtime would take silently and answer wrongly is refused here, before the run.

OpenVINO casts another element type, keeps the last value of an input that is missing, answers zeros for an
index outside a table, and computes 64-bit integers in 32 bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.datatypes import BY_ONNX
from models.errors import InputRefused
from models.manifest import TensorSpec


@dataclass(frozen=True)
class Range:
    """Values that a whole-number input may have, and why no others."""

    low: int
    high: int
    because: str

    def within(self, other: "Range") -> "Range":
        """The tighter of two, where one lies inside the other; else what both allow."""
        if other.low >= self.low and other.high <= self.high:
            return other
        if self.low >= other.low and self.high <= other.high:
            return self
        return Range(max(self.low, other.low), min(self.high, other.high), other.because)


class InputCheck:
    """`ranges` by input name. The graph's inputs must come in the order of `specs`."""

    def __init__(self, specs: Sequence[TensorSpec], ranges: Mapping[str, Range]) -> None:
        self._specs = [
            (spec.name, BY_ONNX[spec.dtype.value].numpy, spec.shape, ranges.get(spec.name))
            for spec in specs
        ]
        self._names = {spec.name for spec in specs}

    def arrays(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """In the order of the specs, each in one piece. Raises InputRefused."""
        if inputs.keys() != self._names:
            odd = sorted(inputs.keys() ^ self._names)[0]
            state = "is missing" if odd in self._names else "is not an input of the model"
            raise InputRefused(f"the model refuses this input: {odd!r} {state}")
        sizes: dict[str, int] = {}
        checked: list[np.ndarray] = []
        for name, dtype, shape, allowed in self._specs:
            array = inputs[name]
            if array.dtype != dtype:
                raise InputRefused(
                    f"the model refuses this input: {name!r} is {array.dtype}, not {dtype}"
                )
            _check_shape(name, array.shape, shape, sizes)
            if allowed is not None and array.size:
                _check_range(name, array, allowed)
            checked.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
        return checked


def _check_shape(
    name: str, found: tuple[int, ...], wanted: tuple[int | str, ...], sizes: dict[str, int]
) -> None:
    """`sizes`: of the named axes so far."""
    fits = len(found) == len(wanted)
    for size, axis in zip(found, wanted, strict=False):
        fits = fits and size == (sizes.setdefault(axis, size) if isinstance(axis, str) else axis)
    if not fits:
        raise InputRefused(
            f"the model refuses this input: {name!r} has the shape {list(found)}, not {list(wanted)}"
            + (f" with {sizes}" if sizes else "")
        )


def _check_range(name: str, array: np.ndarray, allowed: Range) -> None:
    low, high = int(array.min()), int(array.max())
    if low < allowed.low or high > allowed.high:
        value = low if low < allowed.low else high
        raise InputRefused(
            f"the model refuses this input: {name!r} holds {value}, which is out of data bounds "
            f"[{allowed.low}, {allowed.high}]: {allowed.because}"
        )
