"""A transformers encoder behind the common interface of text encoders.

Letters as in `training.networks.text_encoder`. BERT: Devlin et al. 2019 (arXiv:1810.04805); MiniLM:
Wang et al. 2020 (arXiv:2002.10957); any other encoder of the library comes the same way.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.networks.text_encoder import TokenEncoder
from training.pretrained import TextCheckpoint, module_layer_groups


class PretrainedEncoder(TokenEncoder):
    """The checkpoint's own network; its weights are trained on unless they are frozen."""

    def __init__(self, checkpoint: TextCheckpoint) -> None:
        super().__init__()
        self.network = checkpoint.module
        self.hidden = checkpoint.hidden
        self.max_tokens = checkpoint.max_tokens
        self.takes_type_ids = checkpoint.takes_type_ids

    @override
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor | None = None
    ) -> Tensor:
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.takes_type_ids:
            given["token_type_ids"] = torch.zeros_like(input_ids) if type_ids is None else type_ids
        vectors: Tensor = self.network(**given)[0]
        return vectors

    @override
    def layer_groups(self) -> list[list[nn.Parameter]]:
        return module_layer_groups(self.network)
