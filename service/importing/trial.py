"""Running a graph that nobody vouches for, to learn what its file does not say.

Values are made from a seed. What a graph takes (token ids below some number, sizes that a pooling layer
can halve) is not written in it, so a few kinds of values and sizes are tried, harmless ones first.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime as ort

from models.datatypes import BY_ONNX, BY_ORT, DataType
from models.manifest import MODEL_FILE
from service.importing.errors import ImportRefused
from service.importing.external import WEIGHTS_FILE
from service.importing.graph import Value

Arrays = dict[str, np.ndarray]

_SEED = 0
_SIZES = (8, 32, 64, 224, 1, 3, 16, 128)
_SILENT = 4


class Trial:
    """The graph in `folder`, opened as the server will open it. Raises ImportRefused."""

    def __init__(self, folder: Path) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = _SILENT
        weights = folder / WEIGHTS_FILE
        data = weights.read_bytes() if weights.exists() else b""
        if data:
            options.add_external_initializers_from_files_in_memory(
                [WEIGHTS_FILE], [data], [len(data)]
            )
        try:
            model = (folder / MODEL_FILE).read_bytes()
            self._session = ort.InferenceSession(
                model, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # the runtime's classes share no base
            raise ImportRefused(f"ONNX Runtime does not open it: {first_line(error)}") from error

    def declared(self, name: str) -> tuple[DataType, list[int | str | None]]:
        """An output's element type and shape as the runtime infers them. Raises ImportRefused."""
        [node] = [node for node in self._session.get_outputs() if node.name == name]
        info = BY_ORT.get(node.type)
        if info is None:
            raise ImportRefused(f"output {name!r} is {node.type}, which is not served")
        return info.onnx, list(node.shape)

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> Arrays:
        """Raises ImportRefused with the runtime's first line."""
        options = ort.RunOptions()
        options.log_severity_level = _SILENT
        try:
            answers = self._session.run(list(outputs), dict(inputs), options)
        except Exception as error:  # as above
            raise ImportRefused(first_line(error)) from error
        return dict(zip(outputs, answers, strict=True))

    def find_inputs(
        self, values: Sequence[Value], batch: str | None, outputs: Sequence[str]
    ) -> Arrays:
        """Values that the graph takes, three rows when `batch` names a free axis. Raises ImportRefused."""
        free = any(not isinstance(a, int) and a != batch for v in values for a in v.shape or ())
        whole = any(v.dtype is not None and np.issubdtype(_numpy(v), np.integer) for v in values)
        failure = ""
        for size, most in product(_SIZES if free else _SIZES[:1], (2, 1) if whole else (2,)):
            inputs = make_inputs(values, {batch: 3} if batch else {}, size, most)
            try:
                self.run(inputs, outputs)
            except ImportRefused as error:
                failure = failure or error.message
                continue
            return inputs
        raise ImportRefused(
            f"it did not run on made-up values ({failure}); give some that it takes with --sample FILE.npz"
        )


def make_inputs(
    values: Sequence[Value], named: Mapping[str | None, int], size: int, most: int = 2
) -> Arrays:
    """Normal numbers, integers below `most`, one or the other truth and letter. Axes without a size get
    `size`, unless they are `named`."""
    random = np.random.default_rng(_SEED)
    made: Arrays = {}
    for value in values:
        shape = [a if isinstance(a, int) else named.get(a, size) for a in value.shape or ()]
        made[value.name] = _make(value, shape, random, most)
    return made


def changed(array: np.ndarray, row: int) -> np.ndarray:
    """The same with other values of the same kind in one row of axis 0."""
    other = array.copy()
    if other.dtype.kind == "O":
        other[row] = "changed"
    elif other.dtype.kind == "b":
        other[row] = ~other[row]
    elif other.dtype.kind == "f":
        other[row] = -other[row] + other.dtype.type(0.5)
    else:
        other[row] = 1 - np.minimum(other[row], 1)
    return other


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _make(value: Value, shape: list[int], random: np.random.Generator, most: int) -> np.ndarray:
    dtype = _numpy(value)
    if value.dtype is DataType.STRING:
        return random.choice(np.array(["a", "b"], object), shape)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    return random.integers(0 if most > 1 else 1, max(most, 2), shape).astype(dtype)


def _numpy(value: Value) -> "np.dtype[np.generic]":
    assert value.dtype is not None
    return BY_ONNX[value.dtype.value].numpy
