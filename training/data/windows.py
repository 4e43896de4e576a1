"""A token stream cut into windows, as language-model training wants it.

Letters: T tokens the network reads at once (its context). Documents are laid end to end, each after an
end-of-text token, so that the network learns where texts begin. A training item is T + 1 consecutive
tokens: the first T are read, the last T predicted.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

Tokens = NDArray[np.int64]
# What is read int64 [batch, T], and what is to be predicted at each place; IGNORED: nothing.
Batch = tuple[torch.Tensor, torch.Tensor]
IGNORED = -100


class Windows(Dataset[Batch]):
    """Windows of a stream, by the places of their first tokens."""

    def __init__(self, documents: Sequence[Tokens], length: int) -> None:
        self.stream = torch.from_numpy(np.concatenate(documents))
        self.length = length

    def __len__(self) -> int:
        """How many fit side by side; neighbours share one token."""
        return (len(self.stream) - 1) // self.length

    def __getitem__(self, starts: list[int]) -> Batch:
        rows = torch.stack([self.stream[start : start + self.length + 1] for start in starts])
        return rows[:, :-1], rows[:, 1:]


class EpochBatches(Sampler[list[int]]):
    """Batches of item numbers: `size` items an epoch, none a second time before all of `items` had
    their turn. Of several processes each draws its own part of every batch.

    Which ones is a function of seed and epoch, and how many of an epoch were drawn is state: a resumed
    run goes on at the very item where it stood. The last batch of an epoch may be smaller.
    """

    def __init__(
        self, items: int, size: int, batch_size: int, seed: int, part: tuple[int, int] = (0, 1)
    ) -> None:
        self._items = items
        self._batch_size = batch_size
        self._seed = seed
        self._rank, self._world = part
        # Every process must do as many steps as the others.
        self._size = size if self._world == 1 else max(size // self._stride, 1) * self._stride
        self._epoch = 0
        self._drawn = 0  # batches of this epoch
        self._skip = (0, 0)  # epoch, and how many of its batches were drawn before

    @property
    def _stride(self) -> int:
        return self._batch_size * self._world

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch."""
        self._epoch = epoch

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self._epoch, "drawn": self._drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._skip = (state["epoch"], state["drawn"])

    def __len__(self) -> int:
        return -(-self._size // self._stride)

    def __iter__(self) -> Iterator[list[int]]:
        places = np.arange(self._size) + self._epoch * self._size
        turns, ranks = np.divmod(places, self._items)
        orders = {turn: self._order(turn) for turn in np.unique(turns).tolist()}
        numbers = [int(orders[turn][rank]) for turn, rank in zip(turns, ranks, strict=True)]
        epoch, drawn = self._skip
        self._drawn = drawn if epoch == self._epoch else 0
        for start in range(self._drawn * self._stride, self._size, self._stride):
            self._drawn += 1
            yield numbers[start : start + self._stride][self._rank :: self._world]

    def _order(self, turn: int) -> NDArray[Any]:
        """All items in the order of one turn."""
        return np.random.default_rng([self._seed, turn]).permutation(self._items)


class ShiftedStarts(EpochBatches):
    """Places where windows begin: side by side, but from another token on in every turn, so that text
    read many times is not always cut at the same places."""

    def __init__(
        self,
        tokens: int,
        length: int,
        size: int,
        batch_size: int,
        seed: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Windows lie within the first `tokens` tokens, of which there must be two windows' worth."""
        super().__init__((tokens - length) // length, size, batch_size, seed, part)
        self._length = length

    def _order(self, turn: int) -> NDArray[Any]:
        generator = np.random.default_rng([self._seed, turn])
        shift = generator.integers(self._length)
        return np.asarray(generator.permutation(self._items) * self._length + shift)


class ResumableLoader(DataLoader[Any]):
    """Slices a whole batch at once; Lightning saves and restores where in the epoch it stood."""

    def __init__(self, items: Dataset[Any], batches: EpochBatches) -> None:
        super().__init__(items, sampler=batches, batch_size=None)
        self._batches = batches

    def state_dict(self) -> dict[str, int]:
        return self._batches.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._batches.load_state_dict(state)
