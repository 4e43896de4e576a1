"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition").

C1 6 maps, S2, C3 16 maps, S4, C5 120 units, F6 84 units, as in the paper. Where this differs: C3 sees
all maps of S2, pooling is a plain mean, and the output is a linear layer (the paper's radial units fit
the ASCII glyphs it had drawn). The paper's picture is 32 pixels wide. Smaller ones keep their side in C1
and C3 by padding, as the paper padded 28 to 32; larger ones simply leave a larger map for C5.

Shapes: N items, C channels, S side in pixels, K classes.
"""

from typing import Literal

from torch import Tensor, nn

from training.networks.layers import weights_of

_PAPERS_SIDE = 32


class LeNet(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]. S ≥ 4."""

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        activation: Literal["tanh", "relu"] = "tanh",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        padding = 0 if side >= _PAPERS_SIDE else 2
        squash = nn.Tanh if activation == "tanh" else nn.ReLU
        self.c1 = nn.Sequential(nn.Conv2d(channels, 6, 5, padding=padding), squash())
        self.c3 = nn.Sequential(nn.Conv2d(6, 16, 5, padding=padding), squash())
        self.pool = nn.AvgPool2d(2)
        s2 = (side - 4 + 2 * padding) // 2
        s4 = (s2 - 4 + 2 * padding) // 2
        self.c5 = nn.Sequential(nn.Linear(16 * s4 * s4, 120), squash())
        self.f6 = nn.Sequential(nn.Linear(120, 84), squash(), nn.Dropout(dropout))
        self.head = nn.Linear(84, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        s2 = self.pool(self.c1(image))  # [N, 6, 14, 14] at S = 32
        s4 = self.pool(self.c3(s2))  # [N, 16, 5, 5]
        logits: Tensor = self.head(self.f6(self.c5(s4.flatten(1))))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(self.c1, self.c3, self.c5, self.f6, self.head)
