"""Loaders of token sequences: batches of rows of similar length, padded to their longest.

Tokens may be left out of training rows at random, so that no single word is relied on (word dropout,
Iyyer et al. 2015). Mixed lengths would make a short phrase cost as much as the longest of its batch.
Letters: B, T.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

TokenBatch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

# Batches drawn together and sorted by length: enough to be alike, few enough to stay random.
_POOL_BATCHES = 16


@dataclass(frozen=True)
class TokenDropout:
    """Leaves out `part` of a row's tokens, drawn anew on every call; `kept` ids always stay."""

    part: float = 0.0
    kept: tuple[int, ...] = ()

    def __call__(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [T] → at most as many, and at least one besides the kept ones. Draws from torch."""
        if not self.part:
            return row
        special = np.isin(row, self.kept)
        stays = special | (torch.rand(len(row)).numpy() >= self.part)
        return row[stays] if (stays & ~special).any() else row


class _Sequences(Dataset[TokenBatch]):
    def __init__(
        self, rows: Sequence[NDArray[np.int64]], labels: NDArray[np.int64], dropout: TokenDropout
    ) -> None:
        self._rows, self._labels, self._dropout = rows, labels, dropout

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: list[int]) -> TokenBatch:
        ids, mask = pad_rows([self._dropout(self._rows[row]) for row in chosen])
        labels = torch.from_numpy(self._labels[chosen])
        return torch.from_numpy(ids), torch.from_numpy(mask), labels


class SimilarLengths(Sampler[list[int]]):
    """Rows of similar length together; shuffled ones anew in each epoch, by torch's own seed."""

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, *, shuffle: bool) -> None:
        self._lengths, self._batch_size, self._shuffle = lengths, batch_size, shuffle

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        size = self._batch_size
        if not self._shuffle:
            order = np.argsort(self._lengths, kind="stable")
            yield from (order[i : i + size].tolist() for i in range(0, len(order), size))
            return
        order = torch.randperm(len(self._lengths)).numpy()
        batches = []
        for start in range(0, len(order), size * _POOL_BATCHES):
            pool = order[start : start + size * _POOL_BATCHES]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            batches += [pool[i : i + size].tolist() for i in range(0, len(pool), size)]
        yield from (batches[index] for index in torch.randperm(len(batches)).tolist())


def token_loader(
    rows: Sequence[NDArray[np.int64]],
    labels: NDArray[np.int64],
    *,
    batch_size: int,
    shuffle: bool,
    dropout: TokenDropout | None = None,
) -> DataLoader[TokenBatch]:
    """Yields (ids int64 [B, T], mask int64 [B, T], labels int64 [B])."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    sampler = SimilarLengths(lengths, batch_size, shuffle=shuffle)
    return DataLoader(
        _Sequences(rows, labels, dropout or TokenDropout()), sampler=sampler, batch_size=None
    )


def pad_rows(
    rows: Sequence[NDArray[np.int64]], length: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(ids, mask), both int64 [B, T]; T is `length` or the longest row. Longer rows are cut."""
    width = length if length is not None else max(len(row) for row in rows)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        kept = row[:width]
        ids[index, : len(kept)] = kept
        mask[index, : len(kept)] = 1
    return ids, mask
