"""What the encoder left, per row of the slot cache: the keys and values that cross-attention reads.

Beside `SlotCache`, whose rows these are (letters as in graph.py). The graph computes over all X positions
that it is given, and no row is longer than its source. So X is not the longest source that the model
takes but a little more than the longest of the moment: the memory of each tensor is laid out anew when a
longer source joins, or when a quarter would do. At 8 rows and sources of 20 tokens, of a model that takes
512, that is a 25th of the cross-attention's work.

Positions behind a source are zero, never garbage: the graph hides them by a large negative score, which
no NaN obeys.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.generation.source_memory import SourceMemory

_STEP_TOKENS = 32  # X is a multiple of it


class SourceCache:
    """`lengths` int32 [rows]: the graph's cross_lengths. `longest`: tokens of the longest source that will
    come. `memory`: of as many rows, and of `whole_steps(longest)` positions at most."""

    def __init__(self, memory: SourceMemory, rows: int, longest: int) -> None:
        self.memory = memory
        self.lengths = np.ones(rows, np.int32)
        self.width = 0
        self._most = whole_steps(longest)
        self._lay_out(0, _STEP_TOKENS)

    def fit(self, count: int, longest: int) -> None:
        """Before sources of up to `longest` tokens join `count` rows."""
        most = max([longest, *self.lengths[:count].tolist()])
        wanted = min(whole_steps(most), self._most)
        if wanted > self.width or wanted * 4 <= self.width:
            self._lay_out(count, wanted)

    def write(self, row: int, source: Sequence[NDArray[Any]]) -> None:
        """Keys and values [K, S, E] of each layer; `fit` has made room."""
        self.lengths[row] = source[0].shape[1]
        self.memory.write(row, source)

    def move(self, source: int, target: int) -> None:
        """Copy a row over another."""
        self.lengths[target] = self.lengths[source]
        self.memory.move(source, target)

    def _lay_out(self, count: int, width: int) -> None:
        self.memory.lay_out(count, width)
        self.width = width


def whole_steps(tokens: int) -> int:
    return -(-tokens // _STEP_TOKENS) * _STEP_TOKENS
