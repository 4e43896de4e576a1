"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545), transformers' own by configuration, weights drawn anew.

Four stages of 7×7 depthwise blocks; channels double from stage to stage. The paper's stem cuts a 224-pixel
picture into patches of 4 pixels, and the three later stages halve the map. Smaller pictures are cut
into patches of 2 (from 64 pixels) or 1 (below), and below 32 the first of the later stages keep the side.

Shapes: N items, C channels, S side in pixels, F features, K classes.
"""

from typing import Any

from torch import Tensor, nn

from training.networks.layers import weights_of
from training.networks.reduction import MOST_HALVINGS, strides

_STAGES = 4


class ConvNext(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        width: int,
        depths: tuple[int, int, int, int],
        drop_path: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        from transformers import ConvNextConfig, ConvNextModel

        widths = [width * 2**stage for stage in range(_STAGES)]
        first, second, *stages = strides(side, MOST_HALVINGS)
        config = ConvNextConfig(
            num_channels=channels,
            patch_size=first * second,
            num_stages=_STAGES,
            hidden_sizes=widths,
            depths=list(depths),
            drop_path_rate=drop_path,
        )
        model: Any = ConvNextModel(config)
        self.stem, self.stages, self.norm = model.embeddings, model.encoder.stages, model.layernorm
        for stage, stride in zip(list(self.stages)[1:], stages, strict=True):
            if stride == 1:
                convolution = stage.downsampling_layer[1]
                stage.downsampling_layer[1] = nn.Conv2d(
                    convolution.in_channels, convolution.out_channels, 1
                )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], classes))

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        for stage in self.stages:
            features = stage(features)
        logits: Tensor = self.head(self.norm(features.mean(dim=(2, 3))))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(self.stem, *self.stages, nn.ModuleList([self.norm, self.head]))
