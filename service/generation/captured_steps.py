"""Decode steps on a GPU whose kernels were captured once and are replayed with a single call (CUDA graphs).

A replay repeats the captured run: the same addresses, the same shapes, and what was read on the CPU stays
what it was then. Two things follow:

    - What a step reads and writes lies in buffers that stay, made before anything is captured: memory that
      a captured run worked in is free to the arena afterwards, and whatever came to lie there later would
      be written over by the next replay.
    - `total`, which the attention reads on the CPU, cannot follow the rows. It is an upper bound, fixed per
      captured step: the next power of two. Each row's own length reaches the kernel through `seqlens_k`, on
      the device, as for the shorter rows of any batch. (ONNX Runtime GenAI captures likewise, over masks of a
      fixed length.)

Steps of up to MOST_ROWS rows are captured, one per number of rows and bound. Launching a kernel costs the
same for more rows, computing does not, so there is ever less to gain.
"""

import logging
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.runtimes.onnxruntime.device import allocate
from service.generation.graph import DecoderGraph
from service.generation.kv_memory import DeviceMemory, alias

MOST_ROWS = 16
_LEAST_TOTAL = 256
_MOST_FAILURES = 3  # one after the other; then nothing is captured any more

_log = logging.getLogger(__name__)


class _Step(NamedTuple):
    binding: ort.IOBinding
    options: ort.RunOptions


class CapturedSteps:
    """Of one cache, whose `memory` never moves. `length`: positions of a row."""

    def __init__(self, graph: DecoderGraph, memory: DeviceMemory, rows: int, length: int) -> None:
        self.rows = min(rows, MOST_ROWS)
        self._graph, self._memory, self._length = graph, memory, length
        self._ids = self._buffer((self.rows, 1), np.int64)
        self._lengths = self._buffer((self.rows,), np.int32)
        self._every_row = self._buffer((self.rows,), np.int64)
        self._every_row.update_inplace(np.arange(self.rows, dtype=np.int64))
        self._logits = self._buffer((self.rows, graph.vocabulary), np.float32)
        self._steps: dict[tuple[int, int], _Step] = {}
        self._failures = 0  # one after the other

    def run(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int32], logits: NDArray[np.float32]
    ) -> bool:
        """Feed the first n rows' waiting tokens: `ids` [rows, 1], `lengths` [rows], of which n = len(logits)
        count; fill `logits` [n, V]. False where this was not done, and the plain way has to."""
        count = len(logits)
        if count > self.rows or self._failures == _MOST_FAILURES:
            return False
        try:
            self._replay(ids, lengths, logits)
        except Exception:  # CUDA captures for a whole process: opening a model may spoil it
            self._failures += 1
            self._steps.clear()
            _log.warning(
                "a captured step of %d rows failed; it is run plainly", count, exc_info=True
            )
            return False
        self._failures = 0
        return True

    def _replay(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int32], logits: NDArray[np.float32]
    ) -> None:
        """Raises what the runtime raises; the cache is as before then."""
        count = len(logits)
        key = (count, self._bound(int(lengths[:count].max()) + 1))
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = self._make(*key)
        self._ids.update_inplace(ids[: self.rows])
        self._lengths.update_inplace(lengths[: self.rows])
        self._graph.session.run_with_iobinding(step.binding, step.options)
        self._memory.copies.fetch(logits.ctypes.data, self._logits.data_ptr(), logits.nbytes)

    def _bound(self, total: int) -> int:
        bound = _LEAST_TOTAL
        while bound < total:
            bound *= 2
        return min(bound, self._length)

    def _make(self, count: int, total: int) -> _Step:
        binding = self._graph.session.io_binding()
        bound = np.array([total], np.int32)
        bound.setflags(write=False)  # a replay would not see it change
        binding.bind_ortvalue_input("total", alias(bound))
        kind, number = self._graph.target
        for name, value, dtype, shape in (
            ("ids", self._ids, np.int64, (count, 1)),
            ("seqlens_k", self._lengths, np.int32, (count,)),
            ("logit_idx", self._every_row, np.int64, (count,)),
        ):
            binding.bind_input(name, kind, number, dtype, shape, value.data_ptr())
        self._memory.bind(binding, slice(0, count))
        place = (kind, number, np.float32, (count, self._graph.vocabulary))
        binding.bind_output("logits", *place, self._logits.data_ptr())
        return _Step(binding, self._graph.runs.captured())

    def _buffer(self, shape: tuple[int, ...], dtype: Any) -> ort.OrtValue:
        return allocate(self._graph.session, shape, dtype, self._graph.target)
