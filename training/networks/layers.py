"""The order of a network's weights, from the picture to the answer, as every image network tells it.

Layer-wise step sizes and frozen layers are built on `layer_groups()`, which each network answers with
`weights_of` its parts.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


class Layered(Protocol):
    """Every image network: `forward` and its weights in order; each weight stands in one group."""

    def layer_groups(self) -> list[list[nn.Parameter]]: ...


@runtime_checkable
class HasOwnLoss(Protocol):
    """A network whose paper trains it by another loss than cross-entropy. Logits float [N, K]; labels
    int64 [N], or float [N, K] that say how much of each class a mixed picture shows."""

    def training_loss(self, image: Tensor, labels: Tensor) -> Tensor: ...

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor: ...


def weights_of(*parts: nn.Module) -> list[list[nn.Parameter]]:
    """The weights of each part; parts without any are left out."""
    groups = [list(part.parameters()) for part in parts]
    return [group for group in groups if group]
