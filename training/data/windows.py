"""A token stream cut into windows, as language-model training and judging want them.

Letters: T tokens the network reads at once (its context). Documents are laid end to end, each after an
end-of-text token, so that the network learns where texts begin. A training item is T + 1 consecutive
tokens: the first T are read, the last T predicted.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

Tokens = NDArray[np.int64]


class Windows(Dataset[torch.Tensor]):
    """Consecutive windows of a stream, int64 [T + 1]; neighbours share one token. An incomplete
    last window is left out."""

    def __init__(self, documents: Sequence[Tokens], length: int) -> None:
        stream = np.concatenate(documents)
        starts = np.arange((len(stream) - 1) // length)[:, np.newaxis] * length
        self._windows = torch.from_numpy(stream[starts + np.arange(length + 1)])

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, rows: list[int]) -> torch.Tensor:
        return self._windows[rows]


class EpochBatches(Sampler[list[int]]):
    """Batches of window numbers: `size` windows an epoch, none a second time before all of `rows`
    had their turn.

    Which ones is a function of seed and epoch, so that a resumed run goes on where it stood.
    """

    def __init__(self, rows: Sequence[int], size: int, batch_size: int, seed: int) -> None:
        self._rows = np.asarray(rows)
        self._size = size
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-self._size // self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        places = np.arange(self._size) + self._epoch * self._size
        turns, ranks = np.divmod(places, len(self._rows))
        orders = {
            turn: np.random.default_rng([self._seed, turn]).permutation(self._rows)
            for turn in np.unique(turns).tolist()
        }
        rows = [int(orders[turn][rank]) for turn, rank in zip(turns, ranks, strict=True)]
        for start in range(0, self._size, self._batch_size):
            yield rows[start : start + self._batch_size]


def window_loader(windows: Windows, batches: Iterable[list[int]]) -> DataLoader[Any]:
    """Yields int64 [batch, T + 1]; a whole batch is sliced at once."""
    return DataLoader(windows, sampler=batches, batch_size=None)
