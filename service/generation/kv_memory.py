"""Where the slot cache's keys and values lie: in this process's memory, or on a GPU.

One tensor per layer and side, [rows, K, P, E] (letters as in graph.py), of which a run sees consecutive rows.
Both kinds bind them as past and as present at the same address, so that the kernel appends in place, and both
copy what one row holds to another.
"""

import mmap
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.runtimes.onnxruntime.device import allocate
from service.generation.graph import DecoderGraph


class KvMemory(Protocol):
    """`tensors`: what a prefix cache may read and write; empty where it cannot."""

    tensors: list[NDArray[Any]]
    size_bytes: int

    def bind(self, binding: ort.IOBinding, rows: slice) -> None: ...

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        """The positions from `start` to `stop` of one row over another's."""

    def give_back(self, row: int, start: int) -> None:
        """Return the memory of a row's positions from `start` on, where that can be done."""


class Copies(Protocol):
    """Within a device's memory, by address."""

    def copy_2d(
        self, target: int, source: int, pitches: tuple[int, int], width: int, height: int
    ) -> None:
        """`height` lines of `width` bytes; `pitches`: bytes from one to the next, target's and source's."""

    def finish(self) -> None:
        """Returns when all that was copied can be read."""

    def put(self, target: int, source: int, size_bytes: int) -> None:
        """Bytes of the host's memory onto the device; returns when they are there."""

    def fetch(self, target: int, source: int, size_bytes: int) -> None:
        """Bytes of the device into the host's memory; returns when they are there."""


class HostMemory:
    """Mapped, not allocated: a page counts from its first use on, and `give_back` returns it."""

    def __init__(self, graph: DecoderGraph, rows: int, length: int) -> None:
        self._names, self._length, self._heads = graph.cache_names, length, graph.kv_heads
        self._width = graph.head_size * graph.cache_dtype.itemsize  # bytes of a position of a head
        shape = (rows, graph.kv_heads, length, graph.head_size)
        size = int(np.prod(shape)) * graph.cache_dtype.itemsize
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # shared memory cannot be given back
        self._maps = [mmap.mmap(-1, size, private) for _ in graph.cache_names]
        self.tensors = [np.frombuffer(m, graph.cache_dtype).reshape(shape) for m in self._maps]
        self.size_bytes = sum(tensor.nbytes for tensor in self.tensors)

    def bind(self, binding: ort.IOBinding, rows: slice) -> None:
        for name, tensor in zip(self._names, self.tensors, strict=True):
            value = alias(tensor[rows])
            binding.bind_ortvalue_input(f"past.{name}", value)
            binding.bind_ortvalue_output(f"present.{name}", value)

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        for tensor in self.tensors:
            tensor[target, :, start:stop] = tensor[source, :, start:stop]

    def give_back(self, row: int, start: int) -> None:
        """They read as zero afterwards."""
        heads = 1 if start == 0 else self._heads  # a whole row lies in one piece
        length = self._length * self._heads // heads
        for memory in self._maps:
            for head in range(heads):
                begin = ((row * heads + head) * length + start) * self._width
                end = (row * heads + head + 1) * length * self._width
                begin = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
                end = end // mmap.PAGESIZE * mmap.PAGESIZE
                if begin < end:
                    memory.madvise(mmap.MADV_DONTNEED, begin, end - begin)


class DeviceMemory:
    """On the graph's device, whole from the start. Nothing of it is read or written by the host."""

    def __init__(self, graph: DecoderGraph, rows: int, length: int, copies: Copies) -> None:
        self.tensors: list[NDArray[Any]] = []
        self._graph, self.copies = graph, copies
        self._shape = (graph.kv_heads, length, graph.head_size)
        self._line = graph.head_size * graph.cache_dtype.itemsize
        shape = (rows, *self._shape)
        self._values = [
            allocate(graph.session, shape, graph.cache_dtype.type, graph.target)
            for _ in graph.cache_names
        ]
        # What is masked is multiplied by zero on some paths, and the device's old bytes may be NaN.
        nothing = np.zeros(shape, graph.cache_dtype)
        for value in self._values:
            value.update_inplace(nothing)
        self.size_bytes = nothing.nbytes * len(self._values)

    def bind(self, binding: ort.IOBinding, rows: slice) -> None:
        count = rows.stop - rows.start
        kind, number = self._graph.target
        for name, value in zip(self._graph.cache_names, self._values, strict=True):
            place = (kind, number, self._graph.cache_dtype.type, (count, *self._shape))
            address = value.data_ptr() + rows.start * self._row_bytes
            binding.bind_input(f"past.{name}", *place, address)
            binding.bind_output(f"present.{name}", *place, address)

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        heads, length, _ = self._shape
        for value in self._values:
            first = value.data_ptr() + start * self._line
            self.copies.copy_2d(
                first + target * self._row_bytes,
                first + source * self._row_bytes,
                pitches=(length * self._line, length * self._line),
                width=(stop - start) * self._line,
                height=heads,
            )
        self.copies.finish()

    def give_back(self, row: int, start: int) -> None:
        """A device's memory is taken whole; there is nothing to return before the model goes."""

    @property
    def _row_bytes(self) -> int:
        heads, length, _ = self._shape
        return heads * length * self._line


def alias(array: NDArray[Any]) -> ort.OrtValue:
    """An OrtValue on the array's own memory; a silent copy would freeze the cache."""
    value = ort.OrtValue.ortvalue_from_numpy(array)
    if array.size:
        assert value.data_ptr() == array.ctypes.data, "ONNX Runtime copied shared memory"
    return value
