"""SegFormer: a pyramid of transformer stages and a decoder of linear layers.

Xie et al. 2021 (arXiv:2105.15203); the network is transformers' own, by configuration, from scratch. It
answers at a quarter of the picture's size; its logits are enlarged here, bilinearly.

Shapes: N pictures, H height and W width in pixels (at least 32), K classes.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import weights_of

_HEAD_WIDTH = 32  # features of one attention head
_STAGES = 4
_REDUCTIONS = [8, 4, 2, 1]  # keys and values are averaged over so many positions, as in the paper


class Segformer(nn.Module):
    """Pictures float [N, 3, H, W], normalised → logits float [N, K, H, W]."""

    def __init__(self, classes: int, width: int, depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

        widths = [width * factor for factor in (1, 2, 5, 8)]
        configuration = SegformerConfig(
            hidden_sizes=widths,
            depths=[depth] * _STAGES,
            num_attention_heads=[max(1, size // _HEAD_WIDTH) for size in widths],
            sr_ratios=_REDUCTIONS,
            decoder_hidden_size=4 * width,
            classifier_dropout_prob=dropout,
        )
        configuration.num_labels = classes
        self.network: Any = SegformerForSemanticSegmentation(configuration)

    def forward(self, image: Tensor) -> Tensor:
        coarse: Tensor = self.network(pixel_values=image).logits
        return functional.interpolate(
            coarse, size=image.shape[-2:], mode="bilinear", align_corners=False
        )

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(self.network.segformer, self.network.decode_head)
