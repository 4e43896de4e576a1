"""Batches of texts that belong together, each text with ids and mask of its own. Letters: B rows, T tokens.

Rows are drawn at random and not by length: the other rows of a batch are its wrong answers, and must not
be told by their length.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from training.data.padded_loader import pad_token_rows

PairBatch = dict[str, torch.Tensor]


class _Columns(Dataset[PairBatch]):
    def __init__(
        self, texts: Mapping[str, Sequence[Mapping[str, Any]]], more: Mapping[str, NDArray[Any]]
    ) -> None:
        self._texts, self._more = texts, more

    def __len__(self) -> int:
        return len(next(iter(self._texts.values())))

    def __getitem__(self, chosen: list[int]) -> PairBatch:
        batch = {name: torch.from_numpy(values[chosen]) for name, values in self._more.items()}
        for column, rows in self._texts.items():
            padded = pad_token_rows([rows[row] for row in chosen])
            batch |= {f"{column}_{name}": torch.from_numpy(ids) for name, ids in padded.items()}
        return batch


class RowBatches(Sampler[list[int]]):
    """Shuffled anew in each epoch, by torch's own seed. A last row alone joins the batch before: it would
    have no wrong answers."""

    def __init__(self, count: int, batch_size: int, *, shuffle: bool) -> None:
        self._count, self._batch_size, self._shuffle = count, batch_size, shuffle

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self._count) if self._shuffle else torch.arange(self._count)
        starts = self._starts()
        for start, end in zip(starts, [*starts[1:], self._count], strict=True):
            yield order[start:end].tolist()

    def _starts(self) -> list[int]:
        starts = list(range(0, self._count, self._batch_size))
        return starts[:-1] if len(starts) > 1 and self._count - starts[-1] == 1 else starts


def pair_loader(
    texts: Mapping[str, Sequence[Mapping[str, Any]]],
    more: Mapping[str, NDArray[Any]],
    *,
    batch_size: int,
    shuffle: bool,
) -> DataLoader[Any]:
    """Yields `<column>_<name>` int64 [B, T] for each name of a column's rows, and `more` as [B]."""
    data = _Columns(texts, more)
    return DataLoader(
        data, sampler=RowBatches(len(data), batch_size, shuffle=shuffle), batch_size=None
    )


def text_numbers(*columns: Sequence[str]) -> list[NDArray[np.int64]]:
    """int64 [N] for each column: equal texts have equal numbers, in whichever column they stand."""
    numbers: dict[str, int] = {}
    return [
        np.array([numbers.setdefault(text, len(numbers)) for text in column], dtype=np.int64)
        for column in columns
    ]
