"""What every encoder–decoder offers to training, export and judging, whatever it is made of.

Shape legend, also of the networks that inherit from this:
    B batch · S source tokens · T answer tokens · D width · H query heads · K key/value heads
    E head size · V vocabulary of the answer · L decoder layers (pairs of cached tensors)

Reading and writing are separate, as they are when served: `encode` runs once for a source and leaves
what the decoder attends to, already projected for each of its layers; `decode` reads whole answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class SlotSizes:
    """Of the cache that one answer needs: L pairs [K, tokens, E]; the cross-attention's are alike."""

    layers: int
    kv_heads: int
    head_size: int
    vocabulary: int


class Seq2Seq(nn.Module, ABC):
    """Source and answer so far → logits of the answer's next token at every position."""

    @property
    @abstractmethod
    def sizes(self) -> SlotSizes: ...

    @abstractmethod
    def encode(self, source: Tensor, mask: Tensor) -> list[Tensor]:
        """source and mask int64 [B, S] → 2·L tensors [B, K, S, E]: keys, values of each layer."""

    @abstractmethod
    def decode(self, answer: Tensor, cross: Sequence[Tensor], mask: Tensor) -> Tensor:
        """answer int64 [B, T], what `encode` left and its mask → logits [B, T, V]."""

    @abstractmethod
    def slot_graph(self) -> nn.Module:
        """The decoder as the generation engine runs it (`training.networks.cross_slot`)."""

    def forward(self, source: Tensor, mask: Tensor, answer: Tensor) -> Tensor:
        """→ logits [B, T, V]"""
        return self.decode(answer, self.encode(source, mask), mask)
