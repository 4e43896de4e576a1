"""A network from elsewhere under a new head: a transformers checkpoint, or any network of timm.

`training.pretrained_image` reads checkpoints; `timm_network` asks timm (R. Wightman 2019, PyTorch Image
Models), where it is installed. timm's weights are drawn anew: nothing is downloaded here.

Shapes: N items, C channels, S side in pixels, F features, K classes.
"""

import importlib
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

from models.errors import UsageError
from training.networks.layers import weights_of
from training.pretrained_image import ImageCheckpoint


class BackboneClassifier(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(self, checkpoint: ImageCheckpoint, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = checkpoint.backbone
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(checkpoint.features, classes))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(image))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [*self.backbone.layer_groups(), *weights_of(self.head)]


class TimmClassifier(nn.Module):
    """As above; `network` is timm's, with its own head."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image)
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """By timm's own word on which weight belongs to which layer."""
        network: Any = self.network
        group_parameters = importlib.import_module("timm.models").group_parameters
        weights = dict(network.named_parameters())
        layers = group_parameters(network, network.group_matcher(coarse=False))
        return [[weights[name] for name in names] for _, names in sorted(layers.items())]


def timm_network(
    name: str, channels: int, side: int, classes: int, dropout: float
) -> TimmClassifier:
    """timm's network of that name for these pictures. Raises UsageError."""
    if find_spec("timm") is None:
        raise UsageError(
            f"network timm:{name}: the package timm is not installed; install it (pip install timm) "
            "or choose another network"
        )
    try:
        timm: Any = importlib.import_module("timm")
    except Exception as error:  # whatever it meets, e.g. another torch's torchvision: one line
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"network timm:{name}: timm cannot be imported: {reason}") from error
    if not timm.is_model(name):
        close = timm.list_models(f"*{name.split('_')[0]}*")[:5]
        hint = f"; similar names: {', '.join(close)}" if close else ""
        raise UsageError(f"network timm:{name}: timm knows no such network{hint}")
    options: dict[str, Any] = {"num_classes": classes, "in_chans": channels, "drop_rate": dropout}
    try:
        try:  # transformers need to know the side, convolutional networks do not take it
            network = timm.create_model(name, img_size=side, **options)
        except TypeError:
            network = timm.create_model(name, **options)
    except Exception as error:  # each of its families checks in its own way; the run ends here
        raise UsageError(f"network timm:{name}: {str(error).splitlines()[0]}") from error
    return TimmClassifier(network)
