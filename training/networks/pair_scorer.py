"""A cross-encoder from scratch: both texts are read together, then the two are compared.

Every token sees both texts; the mean of each text's tokens, their difference and their product go to a small
network (Conneau et al. 2017, arXiv:1705.02364). Checkpoints that have learned to compare by attention alone
do without (`text_encoder.SequenceClassifier`); a small network on little data does not learn it.

Letters: B batch, T tokens, H width of a token's vector.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.dropout import Dropout
from training.networks.text_encoder import TokenEncoder, pool


class PairScorer(nn.Module):
    """Any batch, any length that the encoder takes."""

    def __init__(self, encoder: TokenEncoder, *, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = Dropout(dropout)
        self.hidden = nn.Linear(4 * encoder.hidden, encoder.hidden)
        self.head = nn.Linear(encoder.hidden, 1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor) -> Tensor:
        """int64 [B, T] three times, type ids 0 for the first text and 1 for the second → logits [B, 1]."""
        vectors = self.encoder(input_ids, attention_mask, type_ids)  # [B, T, H]
        first = pool(vectors, attention_mask * (1 - type_ids), "mean")  # [B, H]
        second = pool(vectors, attention_mask * type_ids, "mean")
        features = torch.cat([first, second, (first - second).abs(), first * second], dim=1)
        compared = functional.gelu(self.hidden(self.dropout(features)))
        logits: Tensor = self.head(self.dropout(compared))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        head = [*self.hidden.parameters(), *self.head.parameters()]
        return [*self.encoder.layer_groups(), head]
