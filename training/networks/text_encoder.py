"""What all text networks share: tokens become vectors, and heads make answers of them.

An encoder (recurrent, transformer, pretrained) reads ids and mask and gives a vector for every token;
heads for classes, tags, spans and embeddings are written once against it. What lies under a zero of the
mask can change no vector that counts, and padding comes after the tokens only.

Letters: B batch, T tokens, H width of a token's vector, K classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from training.networks.dropout import Dropout

# Below every number that a network makes, within the range of half precision, and not infinite: a row of
# padding alone stays finite.
OUT_OF_SIGHT = -1e4

Pooling = Literal["first", "mean", "max", "mean_max"]


class TokenEncoder(nn.Module, ABC):
    """Any batch, any length from 1 to `max_tokens`."""

    hidden: int
    """H"""

    max_tokens: int = 1_048_576
    """The longest T; recurrent networks have no limit of their own."""

    takes_type_ids: bool = False
    """True when the two texts of a pair are told apart by `type_ids`."""

    @abstractmethod
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor | None = None
    ) -> Tensor:
        """int64 [B, T], mask of 1 and then 0, type_ids 0 or 1 → float [B, T, H]."""

    @abstractmethod
    def layer_groups(self) -> list[list[nn.Parameter]]:
        """All weights, from the input to the output: for frozen layers and layer-wise step sizes."""


class SequenceClassifier(nn.Module):
    """An encoder with one answer a text."""

    def __init__(
        self, encoder: TokenEncoder, *, classes: int, pooling: Pooling, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling: Pooling = pooling
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(pooled_width(encoder.hidden, pooling), classes)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor | None = None
    ) -> Tensor:
        """As the encoder's → logits [B, K]."""
        vectors = self.encoder(input_ids, attention_mask, type_ids)
        logits: Tensor = self.head(self.dropout(pool(vectors, attention_mask, self.pooling)))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [*self.encoder.layer_groups(), list(self.head.parameters())]


class TokenClassifier(nn.Module):
    """An encoder with one answer a token."""

    def __init__(self, encoder: TokenEncoder, *, classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(encoder.hidden, classes)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor | None = None
    ) -> Tensor:
        """As the encoder's → logits [B, T, K]."""
        vectors = self.encoder(input_ids, attention_mask, type_ids)
        logits: Tensor = self.head(self.dropout(vectors))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [*self.encoder.layer_groups(), list(self.head.parameters())]


def pooled_width(hidden: int, pooling: Pooling) -> int:
    return 2 * hidden if pooling == "mean_max" else hidden


def pool(vectors: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """[B, T, H] and the mask [B, T] → [B, H], or [B, 2·H] for `mean_max`."""
    if pooling == "first":
        return vectors[:, 0]
    mask = attention_mask.unsqueeze(-1).to(vectors.dtype)  # [B, T, 1]
    parts: Sequence[Tensor] = ()
    if pooling in ("mean", "mean_max"):
        parts = (*parts, (vectors * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0))
    if pooling in ("max", "mean_max"):
        parts = (*parts, vectors.masked_fill(mask == 0, OUT_OF_SIGHT).amax(dim=1))
    return torch.cat(list(parts), dim=1)
