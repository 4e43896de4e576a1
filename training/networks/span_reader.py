"""Networks that point at the answer to a question in a passage: two logits for every token.

Both read question and passage as one sequence of tokens, told apart by `type_ids` (0 the question, 1 the
passage). SpanHead is what BERT does (Devlin et al. 2019, arXiv:1810.04805): nothing but a linear layer, for
encoders whose layers have compared the two already. SpanReader adds the comparison that encoders trained
from scratch on little data do not find by themselves: every token looks at the question (BiDAF, Seo et al.
2017, arXiv:1611.01603) and is told whether it occurs in it (DrQA, Chen et al. 2017, arXiv:1704.00051).

Letters: B batch, T tokens, H width of the encoder's vectors, U units of the layer that reads the result.
"""

import torch
from torch import Tensor, nn

from training.networks.dropout import Dropout
from training.networks.recurrent import BidirectionalLayer
from training.networks.text_encoder import OUT_OF_SIGHT, TokenEncoder

Logits = tuple[Tensor, Tensor]


class SpanHead(nn.Module):
    """An encoder with a start and an end for every token."""

    def __init__(self, encoder: TokenEncoder, *, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(encoder.hidden, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor) -> Logits:
        """int64 [B, T] each → start and end logits, float [B, T]."""
        vectors = self.encoder(input_ids, attention_mask, type_ids)
        return _apart(self.head(self.dropout(vectors)), attention_mask)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [*self.encoder.layer_groups(), list(self.head.parameters())]


class SpanReader(nn.Module):
    """An encoder, attention to the question, and a recurrent layer that reads both."""

    def __init__(self, encoder: TokenEncoder, *, units: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.similar = nn.Linear(encoder.hidden, encoder.hidden)
        self.reading = BidirectionalLayer("gru", 3 * encoder.hidden + 1, units)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(2 * units, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor) -> Logits:
        """int64 [B, T] each → start and end logits, float [B, T]."""
        vectors = self.encoder(input_ids, attention_mask, type_ids)  # [B, T, H]
        is_asked = ((attention_mask == 1) & (type_ids == 0)).unsqueeze(1)  # [B, 1, T]
        seen = torch.relu(self.similar(vectors))
        scores = seen @ seen.transpose(1, 2)  # [B, T, T]
        weights = torch.softmax(scores.masked_fill(~is_asked, OUT_OF_SIGHT), dim=-1)
        asked = weights @ vectors  # [B, T, H]
        is_same = (input_ids.unsqueeze(2) == input_ids.unsqueeze(1)) & is_asked  # [B, T, T]
        occurs = is_same.any(dim=2, keepdim=True).to(vectors.dtype)  # [B, T, 1]
        parts = torch.cat([vectors, asked, vectors * asked, occurs], dim=-1)
        lengths = attention_mask.sum(dim=1).clamp(min=1)
        read = self.reading(self.dropout(parts), lengths)  # [B, T, 2·U]
        return _apart(self.head(self.dropout(read)), attention_mask)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        own = [self.similar, self.reading, self.head]
        return [
            *self.encoder.layer_groups(),
            [weight for part in own for weight in part.parameters()],
        ]


def _apart(logits: Tensor, attention_mask: Tensor) -> Logits:
    """[B, T, 2] → twice [B, T]; padding is out of sight of the softmax over tokens."""
    hidden = (attention_mask == 0).unsqueeze(-1)
    start, end = logits.masked_fill(hidden, OUT_OF_SIGHT).unbind(dim=-1)
    return start, end
