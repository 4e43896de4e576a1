"""What the encoder left, per row of the slot cache: the keys and values that cross-attention reads.

Beside `SlotCache`, whose rows these are (letters as in graph.py). The graph computes over all X positions
that it is given, and no row is longer than its source. So X is not the longest source that the model
takes but a little more than the longest of the moment: the memory of each tensor is laid out anew when a
longer source joins, or when a quarter would do. At 8 rows and sources of 20 tokens, of a model that takes
512, that is a 25th of the cross-attention's work.

Positions behind a source are zero, never garbage: the graph hides them by a large negative score, which
no NaN obeys.
"""

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.generation.graph import DecoderGraph

_STEP_TOKENS = 32  # X is a multiple of it


class SourceCache:
    """`tensors` [rows, K, X, E], per layer keys and values; `lengths` int32 [rows] the graph's
    cross_lengths. `longest`: tokens of the longest source that will come."""

    def __init__(self, graph: DecoderGraph, rows: int, longest: int) -> None:
        self.lengths = np.ones(rows, np.int32)
        self.width = 0
        self.tensors: list[NDArray[Any]] = []
        self._most = whole_steps(longest)
        self._rows = (rows, graph.kv_heads, graph.head_size)
        self._dtype = graph.cache_dtype
        size = rows * graph.kv_heads * self._most * graph.head_size * self._dtype.itemsize
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._maps = [mmap.mmap(-1, size, private) for _ in graph.cache_names]
        self._lay_out(0, _STEP_TOKENS)

    def fit(self, count: int, longest: int) -> None:
        """Before sources of up to `longest` tokens join `count` rows."""
        most = max([longest, *self.lengths[:count].tolist()])
        wanted = min(whole_steps(most), self._most)
        if wanted > self.width or wanted * 4 <= self.width:
            self._lay_out(count, wanted)

    def write(self, row: int, source: Sequence[NDArray[Any]]) -> None:
        """Keys and values [K, S, E] of each layer; `fit` has made room."""
        size = source[0].shape[1]
        self.lengths[row] = size
        for tensor, side in zip(self.tensors, source, strict=True):
            tensor[row, :, :size] = side
            tensor[row, :, size:] = 0

    def move(self, source: int, target: int) -> None:
        """Copy a row over another."""
        self.lengths[target] = self.lengths[source]
        for tensor in self.tensors:
            tensor[target] = tensor[source]

    def _lay_out(self, count: int, width: int) -> None:
        """Memory of rows that nobody has goes back to the system."""
        kept = min(width, self.width)
        held = [tensor[:count, :, :kept].copy() for tensor in self.tensors]
        rows, kv_heads, head_size = self._rows
        shape = (rows, kv_heads, width, head_size)
        self.width, self.tensors = width, []
        for index, memory in enumerate(self._maps):
            memory.madvise(mmap.MADV_DONTNEED)  # reads as zero from now on
            tensor = np.frombuffer(memory, self._dtype, int(np.prod(shape))).reshape(shape)
            if held:
                tensor[:count, :, :kept] = held[index]
            self.tensors.append(tensor)


def whole_steps(tokens: int) -> int:
    return -(-tokens // _STEP_TOKENS) * _STEP_TOKENS
