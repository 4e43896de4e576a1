"""A bag of embeddings: the average of a text's tokens, whatever their order (Joulin et al. 2016,
arXiv:1607.01759). The least that a network for text must beat, and hard to beat with little data.

Letters as in `training.networks.text_encoder`.
"""

from torch import Tensor, nn
from typing_extensions import override

from training.networks.text_encoder import TokenEncoder


class EmbeddingEncoder(TokenEncoder):
    """A token's vector is its embedding alone; with mean pooling it is the bag."""

    def __init__(self, *, vocabulary: int, width: int, dropout: float) -> None:
        super().__init__()
        self.hidden = width
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.dropout = nn.Dropout(dropout)

    @override
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor | None = None
    ) -> Tensor:
        vectors: Tensor = self.dropout(self.embedding(input_ids))
        return vectors

    @override
    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(self.embedding.parameters())]
