"""Loaders over arrays in memory: whole batches are sliced at once, which small items need.

PyTorch's usual way, item by item and then stacked, costs more than the training step of a small model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler


class ArrayRows(Dataset[tuple[torch.Tensor, ...]]):
    """Rows of several arrays at once: `[i, j]` gives tensors [2, …]."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self._tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]

    def __len__(self) -> int:
        return len(self._tensors[0])

    def __getitem__(self, rows: list[int]) -> tuple[torch.Tensor, ...]:
        return tuple(tensor[rows] for tensor in self._tensors)


def array_loader(
    *arrays: NDArray[Any], batch_size: int, shuffle: bool
) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Yields tuples of tensors [batch, …], one per array, in the arrays' own dtypes.

    A shuffled loader drops an incomplete last batch when there is a complete one: batch norm needs
    company.
    """
    rows = ArrayRows(arrays)
    sampler = RandomSampler(rows) if shuffle else SequentialSampler(rows)
    batches = BatchSampler(sampler, batch_size, drop_last=shuffle and len(rows) >= batch_size)
    return DataLoader(rows, sampler=batches, batch_size=None)
