"""Source and answer as tokens, in batches of like length with a bounded number of tokens.

Consumed by `training.tasks.text_to_text`. A source ends with the end-of-text token; an answer is read
from it and ends with it, so that one special token serves for the start, the end and as padding, which
masks hide. Letters: B rows, S source tokens, T answer tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from training.data.padded_loader import IGNORED
from training.data.token_loader import pad_rows

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class TokenPairs:
    """`source` as the encoder reads it; `answer` without the start, with the end."""

    source: tuple[Tokens, ...]
    answer: tuple[Tokens, ...]

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class PairBatch:
    """`source`, `mask` int64 [B, S]; `answer` int64 [B, T] begins with the start token, `wanted` is what
    follows each of its tokens, IGNORED behind the end."""

    source: torch.Tensor
    mask: torch.Tensor
    answer: torch.Tensor
    wanted: torch.Tensor

    def to(self, device: torch.device, **_: Any) -> "PairBatch":
        """As Lightning asks of a batch of one's own kind."""
        parts = (self.source, self.mask, self.answer, self.wanted)
        return PairBatch(*(part.to(device) for part in parts))


class _Pairs(Dataset[PairBatch]):
    def __init__(self, versions: Sequence[TokenPairs], start: int) -> None:
        self._versions, self._start = versions, start

    def __len__(self) -> int:
        return len(self._versions[0])

    def __getitem__(self, chosen: list[int]) -> PairBatch:
        version = 0
        if len(self._versions) > 1:
            version = int(torch.randint(len(self._versions), ()))
        pairs = self._versions[version]
        source, mask = pad_rows([pairs.source[row] for row in chosen])
        ending, seen = pad_rows([pairs.answer[row] for row in chosen])
        answer = np.concatenate([np.full((len(chosen), 1), self._start), ending[:, :-1]], axis=1)
        wanted = np.where(seen == 1, ending, IGNORED)
        return PairBatch(*(torch.from_numpy(part) for part in (source, mask, answer, wanted)))


class TokenBudget(Sampler[list[int]]):
    """Rows of like length together, at most `budget` tokens of the longer side, padding counted.

    Rows are laid out by length; which of equally long rows meet, and the order of the batches, are
    drawn anew in each epoch by torch's own seed, while the number of batches stays the same.
    """

    def __init__(self, pairs: TokenPairs, budget: int, *, shuffle: bool) -> None:
        self._answers = np.array([len(row) for row in pairs.answer])
        self._sources = np.array([len(row) for row in pairs.source])
        self._shuffle = shuffle
        order = np.lexsort((self._sources, self._answers))
        self._places = _cut(np.maximum(self._answers, self._sources)[order], budget)

    def __len__(self) -> int:
        return len(self._places) - 1

    def __iter__(self) -> Iterator[list[int]]:
        ties = torch.randperm(len(self._answers)).numpy() if self._shuffle else None
        keys = (self._sources, self._answers)
        order = np.lexsort(keys if ties is None else (ties, *keys))
        numbers = torch.randperm(len(self)).tolist() if self._shuffle else range(len(self))
        for number in numbers:
            yield order[self._places[number] : self._places[number + 1]].tolist()


def _cut(lengths: NDArray[Any], budget: int) -> list[int]:
    """Where batches of rows of these lengths begin, and the end; a row alone may exceed the budget."""
    places, longest = [0], 0
    for row, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        if (row - places[-1] + 1) * longest > budget and row > places[-1]:
            places.append(row)
            longest = length
    return [*places, len(lengths)]


def pair_loader(
    versions: Sequence[TokenPairs], budget: int, start: int, *, shuffle: bool
) -> DataLoader[Any]:
    """Yields PairBatch. `versions` are the same pairs cut into tokens in several ways; each batch is
    taken from one of them, drawn by torch's own seed."""
    sampler = TokenBudget(versions[0], budget, shuffle=shuffle)
    return DataLoader(_Pairs(versions, start), sampler=sampler, batch_size=None)
