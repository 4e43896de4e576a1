"""A multi-layer perceptron on pixels (Rumelhart, Hinton, Williams 1986).

It sees no neighbourhoods: what it reaches shows how much a convolution is worth. Batch norm (Ioffe and
Szegedy 2015) after every hidden layer; weights begin as He et al. (2015) propose for ReLU. Any side.

Shapes: N items, C channels, S side in pixels, K classes, U units.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from training.networks.layers import weights_of


class Mlp(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self, channels: int, side: int, classes: int, hidden: Sequence[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        features = channels * side * side
        for units in hidden:
            linear = nn.Linear(features, units, bias=False)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            layers.append(
                nn.Sequential(linear, nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(dropout))
            )
            features = units
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(features, classes)

    def forward(self, image: Tensor) -> Tensor:
        hidden_nu = image.flatten(1)
        for layer in self.layers:
            hidden_nu = layer(hidden_nu)
        logits: Tensor = self.head(hidden_nu)
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(*self.layers, self.head)
