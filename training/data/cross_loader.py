"""Batches for cross-encoders: two texts in one row of tokens, with a target from 0 to 1.

Scored pairs are taken as they are. A positive pair comes with wrong seconds: the negative of its triplet and
seconds of other rows, drawn anew every time. Letters: B rows of the batch, T tokens.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from models.transforms.text import TextEncoder
from training.data.padded_loader import pad_token_rows
from training.data.pair_loader import RowBatches
from training.data.text_pairs import Pairs

TARGETS = "targets"
CrossBatch = dict[str, torch.Tensor]


class CrossRows(Dataset[CrossBatch]):
    """`negatives`: seconds of other rows for each row of a kind without scores. Draws from torch."""

    def __init__(
        self,
        pairs: Pairs,
        encoder: TextEncoder,
        *,
        score_range: tuple[float, float],
        negatives: int,
    ) -> None:
        self._pairs, self._encoder, self._negatives = pairs, encoder, negatives
        low, high = score_range
        self._targets = (pairs.scores - low) / np.float32(high - low)
        self._right: dict[str, set[str]] = {}
        for first, second in zip(pairs.first, pairs.second, strict=True):
            self._right.setdefault(first, set()).add(second)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, chosen: list[int]) -> CrossBatch:
        rows = [row for number in chosen for row in self._rows(number)]
        encoded = self._encoder.encode_pairs([(first, second) for first, second, _ in rows])
        batch = {name: torch.from_numpy(ids) for name, ids in pad_token_rows(encoded).items()}
        targets = [target for _, _, target in rows]
        return {**batch, TARGETS: torch.tensor(targets, dtype=torch.float32)}

    def _rows(self, number: int) -> Iterator[tuple[str, str, float]]:
        pairs = self._pairs
        first, second = pairs.first[number], pairs.second[number]
        if len(pairs.scores):
            yield first, second, float(self._targets[number])
            return
        yield first, second, 1.0
        if pairs.negatives:
            yield first, pairs.negatives[number], 0.0
        for other in torch.randint(len(pairs), (self._negatives,)).tolist():
            if pairs.second[other] not in self._right[first] and pairs.second[other] != first:
                yield first, pairs.second[other], 0.0


def cross_loader(rows: CrossRows, *, batch_size: int, shuffle: bool) -> DataLoader[CrossBatch]:
    """`batch_size` counts rows of the data; with their wrong seconds a batch has more."""
    sampler = RowBatches(len(rows), batch_size, shuffle=shuffle)
    return DataLoader(rows, sampler=sampler, batch_size=None)
