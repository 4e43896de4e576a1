"""Batches for metric learning: a few pictures of each of a few identities (P×K sampling).

A. Hermans, L. Beyer, B. Leibe 2017, arXiv:1703.07737. Drawn at random, a batch of many identities would
hardly hold two pictures of one.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from training.data.images import ImageSplit
from training.data.loaders import ArrayRows


class IdentitySampler(Sampler[list[int]]):
    """Yields rows: `identities` different ones, `pictures` of each.

    Every identity's pictures are dealt into hands, the last one filled up with more pictures of the same
    identity; who has many hands left is drawn more often, and who has none only when too few others
    have. An epoch has as many batches as there are hands for. With `seed` every epoch is the same.
    """

    def __init__(
        self, labels: NDArray[Any], identities: int, pictures: int, seed: int | None = None
    ) -> None:
        self._rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self._identities = min(identities, len(self._rows))
        self._pictures = pictures
        self._seed = seed

    def __len__(self) -> int:
        hands = sum(-(-len(rows) // self._pictures) for rows in self._rows)
        return max(1, hands // self._identities)

    def __iter__(self) -> Iterator[list[int]]:
        # Torch's own randomness, so that a seeded run repeats it.
        seed = int(torch.randint(2**31, ())) if self._seed is None else self._seed
        dice = np.random.default_rng(seed)
        hands = [self._dealt(rows, dice) for rows in self._rows]
        for _ in range(len(self)):
            if sum(map(bool, hands)) < self._identities:
                hands = [
                    hand or self._dealt(rows, dice)
                    for hand, rows in zip(hands, self._rows, strict=True)
                ]
            left = np.array([len(hand) for hand in hands])
            chosen = dice.choice(len(hands), self._identities, replace=False, p=left / left.sum())
            yield [int(row) for identity in chosen for row in hands[identity].pop()]

    def _dealt(self, rows: NDArray[np.int_], dice: np.random.Generator) -> list[NDArray[np.int_]]:
        order = dice.permutation(rows)
        more = dice.choice(rows, -len(order) % self._pictures)
        return list(np.concatenate([order, more]).reshape(-1, self._pictures))


def identity_loader(
    split: ImageSplit, *, identities: int, pictures: int, seed: int | None = None
) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Yields (pixels uint8 [identities·pictures, C, H, W], labels int64 [identities·pictures])."""
    sampler = IdentitySampler(split.labels, identities, pictures, seed)
    rows = ArrayRows((split.pixels, split.labels))
    return DataLoader(rows, sampler=sampler, batch_size=None)
