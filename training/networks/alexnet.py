"""AlexNet (Krizhevsky, Sutskever, Hinton 2012).

Five convolutions and three fully connected layers, ReLU, overlapping 3×3 pooling, dropout before both
hidden layers. Channels are the paper's 96–256–384–384–256 in proportion to `width`. The two halves that
the paper laid on two GPUs are one here, and batch norm stands where it had local response normalisation.

For 112 pixels and more the first layer is the paper's 11×11 with stride 4. Smaller pictures have no such
detail to give away: 5×5 with stride 1, and only as many poolings as leave a map about 4 wide.

Shapes: N items, C channels, S side in pixels, M side of the last map, K classes.
"""

from torch import Tensor, nn

from training.networks.layers import weights_of
from training.networks.reduction import halvings

_LARGE_SIDE = 112
_POOLED = (0, 1, 4)  # layers that a pooling follows


class AlexNet(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        width: int,
        hidden: int,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        large = side >= _LARGE_SIDE
        kernel, stride, padding = (11, 4, 2) if large else (5, 1, 2)
        poolings = 3 if large else min(3, halvings(side))
        outputs = [round(width * part) for part in (1, 8 / 3, 4, 4, 8 / 3)]
        kernels = (kernel, 5, 3, 3, 3)
        layers: list[nn.Module] = []
        features = channels
        for index, (wider, size) in enumerate(zip(outputs, kernels, strict=True)):
            first = index == 0
            layers.append(
                _layer(
                    features,
                    wider,
                    size,
                    stride if first else 1,
                    padding if first else size // 2,
                    is_pooled=index in _POOLED[:poolings],
                )
            )
            side = (side + 2 * padding - kernel) // stride + 1 if first else side
            side = (side + 1) // 2 if index in _POOLED[:poolings] else side
            features = wider
        self.layers = nn.ModuleList(layers)
        self.hidden = nn.ModuleList(
            nn.Sequential(nn.Dropout(dropout), nn.Linear(units, hidden), nn.ReLU())
            for units in (features * side * side, hidden)
        )
        self.head = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module is not self.head:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        map_ncmm = image
        for layer in self.layers:
            map_ncmm = layer(map_ncmm)
        features = map_ncmm.flatten(1)
        for layer in self.hidden:
            features = layer(features)
        logits: Tensor = self.head(features)
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(*self.layers, *self.hidden, self.head)


def _layer(
    channels_in: int, channels_out: int, size: int, stride: int, padding: int, *, is_pooled: bool
) -> nn.Sequential:
    parts: list[nn.Module] = [
        nn.Conv2d(channels_in, channels_out, size, stride, padding, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    ]
    if is_pooled:
        parts.append(nn.MaxPool2d(3, 2, padding=1))
    return nn.Sequential(*parts)
