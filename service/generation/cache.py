"""The slot cache: keys and values of every row, and the bindings that let the graph write in place.

Owned by the engine, used from its thread alone. Memory is one numpy array per layer and side, shaped
[rows, K, P, E] (letters as in graph.py). Rows [0, n) decode together, so a run over them sees a plain
prefix of each array; a prefill sees one row. Past and present are bound to the same memory: the kernel
then appends to the cache instead of copying it, which at 16 rows is 65 ms a step instead of 103.

Positions at or after a row's length hold garbage that is never read. That makes cancelling, failing and
retrying free: nothing needs to be cleaned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.generation.graph import DecoderGraph


class SlotCache:
    """`rows` slots of `length` positions. `ids` and `lengths` are the inputs of the next decode run:
    per row the token that is not yet cached, and how many tokens are."""

    def __init__(self, graph: DecoderGraph, rows: int, length: int) -> None:
        self.graph = graph
        self.rows = rows
        self.length = length
        shape = (rows, graph.kv_heads, length, graph.head_size)
        # np.zeros commits memory when it is first touched, so unused slots cost address space only.
        self.tensors = [np.zeros(shape, graph.cache_dtype) for _ in graph.cache_names]
        self.ids = np.zeros((rows, 1), np.int64)
        self.lengths = np.zeros(rows, np.int32)
        self._total = np.zeros(1, np.int32)
        self._every_row = np.arange(rows, dtype=np.int64)
        self._logits = np.zeros((rows, graph.vocabulary), np.float32)
        self._row_length = np.zeros(1, np.int32)
        self._decode_bindings: dict[int, ort.IOBinding] = {}
        self._row_bindings: dict[int, ort.IOBinding] = {}

    @property
    def size_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)

    def decode(self, count: int) -> NDArray[np.float32]:
        """Feed the waiting token of rows [0, count); logits [count, V], valid until the next run.

        `lengths` is left as it was: the caller advances it once it accepts the step.
        """
        self._total[0] = self.lengths[:count].max() + 1
        binding = self._decode_bindings.get(count)
        if binding is None:
            binding = self._decode_bindings[count] = self._bind_decode(count)
        self.graph.session.run_with_iobinding(binding, self.graph.run_options)
        logits: NDArray[np.float32] = self._logits[:count]
        return logits

    def feed(self, row: int, cached: int, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Append `tokens` to one row that holds `cached` tokens; logits [V] after the last of them."""
        self._row_length[0] = cached + len(tokens) - 1
        self._total[0] = cached + len(tokens)
        binding = self._row_bindings.get(row)
        if binding is None:
            binding = self._row_bindings[row] = self._bind_row(row)
        ids = np.ascontiguousarray(tokens.reshape(1, -1))
        wanted = np.array([len(tokens) - 1], np.int64)
        _bind_input(binding, "ids", ids)
        _bind_input(binding, "logit_idx", wanted)
        self.graph.session.run_with_iobinding(binding, self.graph.run_options)
        logits: NDArray[np.float32] = self._logits[row]
        return logits

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` cached positions of one row over another."""
        for tensor in self.tensors:
            tensor[target, :, :length] = tensor[source, :, :length]
        self.ids[target] = self.ids[source]
        self.lengths[target] = self.lengths[source]

    def _bind_decode(self, count: int) -> ort.IOBinding:
        binding = self._bind_cache(slice(0, count))
        _bind_input(binding, "ids", self.ids[:count])
        _bind_input(binding, "seqlens_k", self.lengths[:count])
        _bind_input(binding, "logit_idx", self._every_row[:count])
        _bind_output(binding, "logits", self._logits[:count])
        return binding

    def _bind_row(self, row: int) -> ort.IOBinding:
        binding = self._bind_cache(slice(row, row + 1))
        _bind_input(binding, "seqlens_k", self._row_length)
        _bind_output(binding, "logits", self._logits[row : row + 1])
        return binding

    def _bind_cache(self, rows: slice) -> ort.IOBinding:
        binding = self.graph.session.io_binding()
        _bind_input(binding, "total", self._total)
        for name, tensor in zip(self.graph.cache_names, self.tensors, strict=True):
            value = _alias(tensor[rows])
            binding.bind_ortvalue_input(f"past.{name}", value)
            binding.bind_ortvalue_output(f"present.{name}", value)
        return binding


def _bind_input(binding: ort.IOBinding, name: str, array: NDArray[Any]) -> None:
    binding.bind_ortvalue_input(name, _alias(array))


def _bind_output(binding: ort.IOBinding, name: str, array: NDArray[Any]) -> None:
    binding.bind_ortvalue_output(name, _alias(array))


def _alias(array: NDArray[Any]) -> ort.OrtValue:
    """An OrtValue on the array's own memory; a silent copy would freeze the cache."""
    value = ort.OrtValue.ortvalue_from_numpy(array)
    assert value.data_ptr() == array.ctypes.data, "ONNX Runtime copied memory that must be shared"
    return value
