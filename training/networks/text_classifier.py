"""A convolutional text classifier that is quick on a CPU (TextCNN, Kim 2014, arXiv:1408.5882).

Beside the strongest window of every filter it also sees the average one and the average embedding
(Joulin et al. 2016, arXiv:1607.01759): a language shows in many small traces, a mood in one strong word.

Letters: B batch, T tokens, E embedding width, F filters per window size, W window sizes, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.dropout import Dropout


class TextClassifier(nn.Module):
    """Any batch, any length ≥ 1. What lies under a zero of the mask cannot change an answer."""

    def __init__(
        self,
        *,
        vocabulary: int,
        classes: int,
        width: int,
        filters: int,
        windows: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        # The default deviation of 1 drowns what the filters learn in the first steps.
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, size) for size in windows)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(width + 2 * filters * len(windows), classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids int64 [B, T], attention_mask int64 [B, T] of 1 and then 0 → logits [B, K]."""
        embedded = self.embedding(input_ids)  # [B, T, E]
        mask = attention_mask.unsqueeze(-1).to(embedded.dtype)  # [B, T, 1]
        embedded = embedded * mask
        count = mask.sum(dim=1).clamp(min=1.0)  # [B, 1]; 1 for a row that is padding only
        pooled = [embedded.sum(dim=1) / count]
        signal = self.dropout(embedded).transpose(1, 2)  # [B, E, T]
        for convolution in self.convolutions:
            strength = _windows(convolution, signal) * mask.transpose(1, 2)  # [B, F, T]
            pooled += [strength.amax(dim=2), strength.sum(dim=2) / count]
        logits: Tensor = self.head(
            self.dropout(torch.cat(pooled, dim=1))
        )  # [B, E + 2·F·W] → [B, K]
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """All weights, from the input to the output."""
        parts = (self.embedding, self.convolutions, self.head)
        return [list(part.parameters()) for part in parts]


def _windows(convolution: nn.Module, signal: Tensor) -> Tensor:
    """ReLU of one window per token, [B, F, T]; a window at the end looks into zeros.

    ReLU before the mask makes 0 the least value, so that masked windows never win the maximum.
    """
    assert isinstance(convolution, nn.Conv1d)
    padded = functional.pad(signal, (0, convolution.kernel_size[0] - 1))
    return functional.relu(convolution(padded))
