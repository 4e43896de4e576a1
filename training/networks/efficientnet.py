"""EfficientNet (Tan and Le 2019, arXiv:1905.11946), transformers' own by configuration, weights drawn anew.

B0 to B7 by compound scaling: `width` and `depth` are the paper's coefficients. B0 halves a 224-pixel
picture five times: in the stem and before the stages 2, 3, 4 and 6. Smaller pictures keep their side
in the stem first, then in the earliest of those stages, so that the last map stays about 4 wide.

Shapes: N items, C channels, S side in pixels, F features, K classes.
"""

from typing import Any

from torch import Tensor, nn

from training.networks.layers import weights_of
from training.networks.reduction import MOST_HALVINGS, strides

# transformers' 0.99 is TensorFlow's way of counting; in torch's it would hardly average. The paper's
# 0.01 is for runs of a hundred thousand steps; this suits short ones too.
_NORM_MOMENTUM = 0.1
_FEATURES = 1280  # of the last layer of B0


class EfficientNet(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        width: float,
        depth: float,
        drop_connect: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        from transformers import EfficientNetConfig, EfficientNetModel
        from transformers.models.efficientnet.modeling_efficientnet import round_filters

        stem, second, third, fourth, sixth = strides(side, MOST_HALVINGS)
        config = EfficientNetConfig(
            num_channels=channels,
            image_size=side,
            width_coefficient=width,
            depth_coefficient=depth,
            strides=[1, second, third, fourth, 1, sixth, 1],
            depthwise_padding=[],
            drop_connect_rate=drop_connect,
            batch_norm_momentum=_NORM_MOMENTUM,
        )
        config.hidden_dim = round_filters(config, _FEATURES)
        model: Any = EfficientNetModel(config)
        self.stem, self.body = model.embeddings, model.encoder
        if stem == 1:
            self.stem.convolution.stride = (1, 1)
            self.stem.padding = nn.ZeroPad2d(1)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
                module.momentum = _NORM_MOMENTUM  # some of the library's norms ignore the setting
            elif isinstance(module, nn.Conv2d):
                # As the paper's code draws them. The library's own draw is for loading weights over it:
                # with norms drawn about 0 too, nothing passes through the blocks, and nothing is learned.
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="linear")
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(config.hidden_dim, classes))

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.body(self.stem(image)).last_hidden_state
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        after = weights_of(self.body.top_conv, self.body.top_bn)
        return [*weights_of(self.stem, *self.body.blocks), *after, *weights_of(self.head)]
