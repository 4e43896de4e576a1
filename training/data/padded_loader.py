"""Loaders of rows that have several arrays of one length: ids and targets of tokens, types of tokens.

Batches are of similar length, as in `training.data.token_loader`, and padded to their longest row.
Letters: B rows, T tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from training.data.token_loader import SimilarLengths

IGNORED = -100  # a target that no loss is taken of; the value that torch's losses skip
_CALIBRATION_ROWS, _CALIBRATION_BATCH = 256, 16

TokenRow = Mapping[str, NDArray[np.int64]]
PaddedBatch = dict[str, torch.Tensor]


class _Rows(Dataset[PaddedBatch]):
    def __init__(self, rows: Sequence[TokenRow], fill: Mapping[str, int]) -> None:
        self._rows, self._fill = rows, fill

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: list[int]) -> PaddedBatch:
        padded = pad_token_rows([self._rows[row] for row in chosen], fill=self._fill)
        return {name: torch.from_numpy(array) for name, array in padded.items()}


def padded_loader(
    rows: Sequence[TokenRow],
    *,
    batch_size: int,
    shuffle: bool,
    fill: Mapping[str, int] | None = None,
) -> DataLoader[Any]:
    """Yields name → int64 [B, T] or, for arrays without an axis, [B]; `fill` is what padding holds, 0
    where it does not say."""
    lengths = np.array([_length(row) for row in rows], dtype=np.int64)
    sampler = SimilarLengths(lengths, batch_size, shuffle=shuffle)
    return DataLoader(_Rows(rows, fill or {}), sampler=sampler, batch_size=None)


def pad_token_rows(
    rows: Sequence[TokenRow], length: int | None = None, fill: Mapping[str, int] | None = None
) -> dict[str, NDArray[np.int64]]:
    """int64 [B, T] for each name; T is `length` or the longest row. Longer rows are cut."""
    width = length if length is not None else max(_length(row) for row in rows)
    batch = {}
    for name in rows[0]:
        if not rows[0][name].ndim:
            batch[name] = np.array([int(row[name]) for row in rows], dtype=np.int64)
            continue
        batch[name] = np.full((len(rows), width), (fill or {}).get(name, 0), dtype=np.int64)
        for index, row in enumerate(rows):
            kept = row[name][:width]
            batch[name][index, : len(kept)] = kept
    return batch


def calibration_batches(
    rows: Sequence[TokenRow], fill: Mapping[str, int] | None = None
) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Rows from all over a split, in the batches from which a quantiser learns the ranges of values."""
    places = np.linspace(0, len(rows) - 1, _CALIBRATION_ROWS).astype(int)
    chosen: list[int] = np.unique(places).tolist() if rows else []
    for start in range(0, len(chosen), _CALIBRATION_BATCH):
        part = [rows[row] for row in chosen[start : start + _CALIBRATION_BATCH]]
        yield pad_token_rows(part, fill=fill)


def _length(row: TokenRow) -> int:
    return max(len(array) for array in row.values() if array.ndim)
