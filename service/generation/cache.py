"""The slot cache: keys and values of every row, and the bindings that let the graph write in place.

Owned by the engine, used from its thread alone. Memory is one tensor per layer and side, shaped
[rows, K, P, E] (letters as in graph.py; `kv_memory` has it on the host or on a GPU). Rows [0, n) decode
together, so a run over them sees a plain prefix of each; a prefill sees one row. Past and present are bound
to the same memory: the kernel then appends to the cache instead of copying it, which at 16 rows is 65 ms a
step instead of 103.

Positions at or after a row's length hold garbage that is never read. That makes cancelling, failing and
retrying free: nothing needs to be cleaned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.runtimes.onnxruntime.cuda_copies import CudaCopies
from service.generation.captured_steps import CapturedSteps
from service.generation.graph import DecoderGraph
from service.generation.kv_memory import DeviceMemory, HostMemory, KvMemory, alias
from service.generation.source_cache import SourceCache, whole_steps
from service.generation.source_memory import DeviceSourceMemory, HostSourceMemory, SourceMemory


class SlotCache:
    """`rows` slots of `length` positions. `ids` and `lengths` are the inputs of the next decode run:
    per row the token that is not yet cached, and how many tokens are. `source`: what the encoder left of
    sources of up to `source_tokens`, where the graph reads that. `memory`: the one of the graph's place."""

    def __init__(
        self,
        graph: DecoderGraph,
        rows: int,
        length: int,
        source_tokens: int = 0,
        memory: KvMemory | None = None,
    ) -> None:
        self.graph = graph
        self.rows = rows
        self.length = length
        self._memory = memory or _memory_of(graph, rows, length)
        self._is_device = isinstance(self._memory, DeviceMemory)
        self.ids = np.zeros((rows, 1), np.int64)
        self.lengths = np.zeros(rows, np.int32)
        self._total = np.zeros(1, np.int32)
        self._every_row = np.arange(rows, dtype=np.int64)
        self._logits = np.zeros((rows, graph.vocabulary), np.float32)
        self._row_length = np.zeros(1, np.int32)
        self.source = self._source_cache(source_tokens) if graph.reads_source else None
        self._captured: CapturedSteps | None = None
        if isinstance(self._memory, DeviceMemory) and graph.runs.captures:
            self._captured = CapturedSteps(graph, self._memory, rows, length)
        self._decode_bindings: dict[int, ort.IOBinding] = {}
        self._row_bindings: dict[int, ort.IOBinding] = {}

    @property
    def size_bytes(self) -> int:
        return self._memory.size_bytes

    @property
    def tensors(self) -> list[NDArray[Any]]:
        """Keys and values by layer, where the host can reach them; else none."""
        return self._memory.tensors

    def decode(self, count: int) -> NDArray[np.float32]:
        """Feed the waiting token of rows [0, count); logits [count, V], valid until the next run.

        `lengths` is left as it was: the caller advances it once it accepts the step.
        """
        logits: NDArray[np.float32] = self._logits[:count]
        if self._captured is not None and self._captured.run(self.ids, self.lengths, logits):
            return logits
        self._total[0] = self.lengths[:count].max() + 1
        binding = self._decode_bindings.get(count)
        if binding is None:
            binding = self._decode_bindings[count] = self._bind_decode(count)
        elif self._is_device:
            self._bind_steps(binding, count)
            self._bind_source_lengths(binding, slice(0, count))
        self.graph.session.run_with_iobinding(binding, self.graph.runs.plain)
        return logits

    def feed(self, row: int, cached: int, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Append `tokens` to one row that holds `cached` tokens; logits [V] after the last of them."""
        logits: NDArray[np.float32] = self._logits[row]
        self._feed(row, cached, tokens, self._logits[row : row + 1])
        return logits

    def feed_silently(self, row: int, cached: int, tokens: NDArray[np.int64]) -> None:
        """As `feed`, where nobody reads the logits: spares the head, a quarter of a small model."""
        self._feed(row, cached, tokens, self._logits[:0])

    def feed_scored(self, row: int, cached: int, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """As `feed`; logits [S, V] after each of the tokens."""
        return self._feed(
            row, cached, tokens, np.empty((len(tokens), self.graph.vocabulary), np.float32)
        )

    def feed_first(self, row: int, prompts: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Whole prompts of two tokens and more into consecutive empty rows, in one run; logits [N, V]
        after the last token of each. Shorter ones are padded on the right; where the padding goes nothing
        is ever read."""
        rows = slice(row, row + len(prompts))
        sizes = np.array([len(prompt) for prompt in prompts], np.int32)
        assert sizes.min() >= 2, "the kernel takes another path for single tokens"
        longest = int(sizes.max())
        ids = np.zeros((len(prompts), longest), np.int64)
        for line, prompt in zip(ids, prompts, strict=True):
            line[: len(prompt)] = prompt
        self._total[0] = longest
        # Bound anew each time: places and sizes rarely repeat, and a run of several prompts is long.
        binding = self._bind_cache(rows)
        _bind_input(binding, "ids", ids)
        _bind_input(binding, "seqlens_k", sizes - np.int32(1))
        last = np.arange(len(prompts), dtype=np.int64) * longest + sizes - 1
        _bind_input(binding, "logit_idx", last)
        _bind_output(binding, "logits", self._logits[rows])
        self.graph.session.run_with_iobinding(binding, self.graph.runs.plain)
        logits: NDArray[np.float32] = self._logits[rows]
        return logits

    def fit_source(self, count: int, longest: int) -> None:
        """Before sources of up to `longest` tokens join `count` rows: what is bound may have moved."""
        assert self.source is not None
        width = self.source.width
        self.source.fit(count, longest)
        if self.source.width != width:
            self._decode_bindings.clear()
            self._row_bindings.clear()

    def give_back(self, row: int, start: int) -> None:
        """Return the memory of a row's positions from `start` on, where that can be done."""
        self._memory.give_back(row, start)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` cached positions of one row over another, and what belongs to it."""
        self.copy(source, target, 0, length)
        self.ids[target] = self.ids[source]
        self.lengths[target] = self.lengths[source]
        if self.source is not None:
            self.source.move(source, target)

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        """The cached positions from `start` to `stop` alone."""
        self._memory.copy(source, target, start, stop)

    def _feed(
        self,
        row: int,
        cached: int,
        tokens: NDArray[np.int64],
        logits: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Logits [N, V] after the last N of the tokens are written into `logits` and returned."""
        self._row_length[0] = cached + len(tokens) - 1
        self._total[0] = cached + len(tokens)
        binding = self._row_bindings.get(row)
        if binding is None:
            binding = self._row_bindings[row] = self._bind_row(row)
        elif self._is_device:
            _bind_input(binding, "total", self._total)
            _bind_input(binding, "seqlens_k", self._row_length)
            self._bind_source_lengths(binding, slice(row, row + 1))
        ids = np.ascontiguousarray(tokens.reshape(1, -1))
        wanted = np.arange(len(tokens) - len(logits), len(tokens), dtype=np.int64)
        _bind_input(binding, "ids", ids)
        _bind_input(binding, "logit_idx", wanted)
        _bind_output(binding, "logits", logits)
        self.graph.session.run_with_iobinding(binding, self.graph.runs.plain)
        return logits

    def _bind_decode(self, count: int) -> ort.IOBinding:
        binding = self._bind_cache(slice(0, count))
        self._bind_steps(binding, count)
        _bind_input(binding, "logit_idx", self._every_row[:count])
        _bind_output(binding, "logits", self._logits[:count])
        return binding

    def _bind_steps(self, binding: ort.IOBinding, count: int) -> None:
        """What changes with every step. On the CPU the graph reads it where it lies; for a device binding
        copies, so it is done before each run."""
        _bind_input(binding, "total", self._total)
        _bind_input(binding, "ids", self.ids[:count])
        _bind_input(binding, "seqlens_k", self.lengths[:count])

    def _bind_row(self, row: int) -> ort.IOBinding:
        binding = self._bind_cache(slice(row, row + 1))
        _bind_input(binding, "seqlens_k", self._row_length)
        return binding

    def _bind_cache(self, rows: slice) -> ort.IOBinding:
        binding = self.graph.session.io_binding()
        _bind_input(binding, "total", self._total)
        self._memory.bind(binding, rows)
        if self.source is not None:
            self._bind_source_lengths(binding, rows)
            self.source.memory.bind(binding, rows)
        return binding

    def _bind_source_lengths(self, binding: ort.IOBinding, rows: slice) -> None:
        """For a device before each run, as `_bind_steps`."""
        if self.source is not None:
            _bind_input(binding, "cross_lengths", self.source.lengths[rows])

    def _source_cache(self, longest: int) -> SourceCache:
        memory: SourceMemory
        if isinstance(self._memory, DeviceMemory):
            memory = DeviceSourceMemory(self.graph, self.rows, self._memory.copies)
        else:
            memory = HostSourceMemory(self.graph, self.rows, whole_steps(longest))
        return SourceCache(memory, self.rows, longest)


def _bind_input(binding: ort.IOBinding, name: str, array: NDArray[Any]) -> None:
    binding.bind_ortvalue_input(name, alias(array))


def _bind_output(binding: ort.IOBinding, name: str, array: NDArray[Any]) -> None:
    binding.bind_ortvalue_output(name, alias(array))


def _memory_of(graph: DecoderGraph, rows: int, length: int) -> KvMemory:
    if graph.target.kind == "cpu":
        return HostMemory(graph, rows, length)
    return DeviceMemory(graph, rows, length, CudaCopies(graph.target.number))
