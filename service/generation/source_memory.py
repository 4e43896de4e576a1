"""Where the source cache's keys and values lie: in this process's memory, or on a GPU.

One tensor per layer and side, [rows, K, X, E] (letters as in graph.py), of which a run sees consecutive rows.
X, the width, changes (`source_cache`): `lay_out` keeps what the first rows hold. Positions behind a source
are zero.
"""

import mmap
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.runtimes.onnxruntime.device import allocate
from service.generation.graph import DecoderGraph
from service.generation.kv_memory import Copies, alias

Sides = Sequence[NDArray[Any]]
"""Keys and values [K, S, E] of each layer."""


class SourceMemory(Protocol):
    def lay_out(self, count: int, width: int) -> None:
        """`width` positions a row, zero but for what the first `count` rows held and still can."""

    def write(self, row: int, source: Sides) -> None: ...

    def move(self, source: int, target: int) -> None:
        """Copy a row over another."""

    def bind(self, binding: ort.IOBinding, rows: slice) -> None: ...


class HostSourceMemory:
    """Mapped, not allocated: a page counts from its first use on. `most`: positions of the widest layout."""

    def __init__(self, graph: DecoderGraph, rows: int, most: int) -> None:
        self.tensors: list[NDArray[Any]] = []
        self._names, self._dtype = graph.cache_names, graph.cache_dtype
        self._sizes = (rows, graph.kv_heads, graph.head_size)
        size = rows * graph.kv_heads * most * graph.head_size * self._dtype.itemsize
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._maps = [mmap.mmap(-1, size, private) for _ in graph.cache_names]

    def lay_out(self, count: int, width: int) -> None:
        """Memory of rows that nobody has goes back to the system."""
        held = [tensor[:count, :, :width].copy() for tensor in self.tensors]
        rows, kv_heads, head_size = self._sizes
        shape = (rows, kv_heads, width, head_size)
        self.tensors = []
        for index, memory in enumerate(self._maps):
            memory.madvise(mmap.MADV_DONTNEED)  # reads as zero from now on
            tensor = np.frombuffer(memory, self._dtype, int(np.prod(shape))).reshape(shape)
            if held:
                tensor[:count, :, : held[index].shape[2]] = held[index]
            self.tensors.append(tensor)

    def write(self, row: int, source: Sides) -> None:
        size = source[0].shape[1]
        for tensor, side in zip(self.tensors, source, strict=True):
            tensor[row, :, :size] = side
            tensor[row, :, size:] = 0

    def move(self, source: int, target: int) -> None:
        for tensor in self.tensors:
            tensor[target] = tensor[source]

    def bind(self, binding: ort.IOBinding, rows: slice) -> None:
        for name, tensor in zip(self._names, self.tensors, strict=True):
            binding.bind_ortvalue_input(f"cross.{name}", alias(tensor[rows]))


class DeviceSourceMemory:
    """On the graph's device; every layout is memory of its own."""

    def __init__(self, graph: DecoderGraph, rows: int, copies: Copies) -> None:
        self._graph, self._rows, self._copies = graph, rows, copies
        self._line = graph.head_size * graph.cache_dtype.itemsize  # bytes of a position of a head
        self._width = 0
        self._values: list[ort.OrtValue] = []

    def lay_out(self, count: int, width: int) -> None:
        """Raises what the runtime raises when there is no memory; all is as before then."""
        graph, kept = self._graph, min(width, self._width)
        shape = (self._rows, graph.kv_heads, width, graph.head_size)
        nothing = np.zeros(shape, graph.cache_dtype)
        fresh = [
            allocate(graph.session, shape, graph.cache_dtype.type, graph.target)
            for _ in graph.cache_names
        ]
        for value in fresh:
            value.update_inplace(nothing)
        for value, old in zip(fresh, self._values, strict=False):  # at first there are no old ones
            self._copies.copy_2d(
                value.data_ptr(),
                old.data_ptr(),
                pitches=(width * self._line, self._width * self._line),
                width=kept * self._line,
                height=count * graph.kv_heads,
            )
        self._copies.finish()
        self._values, self._width = fresh, width

    def write(self, row: int, source: Sides) -> None:
        heads, size, head_size = source[0].shape
        block = np.zeros((heads, self._width, head_size), self._graph.cache_dtype)
        for value, side in zip(self._values, source, strict=True):
            block[:, :size] = side
            self._copies.put(self._address(value, row), block.ctypes.data, block.nbytes)

    def move(self, source: int, target: int) -> None:
        size = self._row_bytes
        for value in self._values:
            places = (self._address(value, target), self._address(value, source))
            self._copies.copy_2d(*places, pitches=(size, size), width=size, height=1)
        self._copies.finish()

    def bind(self, binding: ort.IOBinding, rows: slice) -> None:
        graph = self._graph
        shape = (rows.stop - rows.start, graph.kv_heads, self._width, graph.head_size)
        place = (graph.target.kind, graph.target.number, graph.cache_dtype.type, shape)
        for name, value in zip(graph.cache_names, self._values, strict=True):
            binding.bind_input(f"cross.{name}", *place, self._address(value, rows.start))

    @property
    def _row_bytes(self) -> int:
        return self._graph.kv_heads * self._width * self._line

    def _address(self, value: ort.OrtValue, row: int) -> int:
        return int(value.data_ptr()) + row * self._row_bytes
