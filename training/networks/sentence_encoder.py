"""A sentence encoder: one vector for a text, such that texts that mean the same point the same way.

Sentence-BERT (Reimers and Gurevych 2019, arXiv:1908.10084): an encoder and the mean of its vectors. The
vector is left as long as it comes; whoever compares normalises.

Letters: B batch, T tokens, H width of a token's vector, D dimensions.
"""

from torch import Tensor, nn

from training.networks.text_encoder import Pooling, TokenEncoder, pool, pooled_width


class SentenceEncoder(nn.Module):
    """Any batch, any length that the encoder takes."""

    def __init__(self, encoder: TokenEncoder, *, pooling: Pooling) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling: Pooling = pooling
        self.dimensions = pooled_width(encoder.hidden, pooling)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [B, T] twice → float [B, D]."""
        return pool(self.encoder(input_ids, attention_mask), attention_mask, self.pooling)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return self.encoder.layer_groups()
