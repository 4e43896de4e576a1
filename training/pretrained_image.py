"""Image networks with weights that others trained, for transfer learning.

Used where `pretrained.source` is set. The module is transformers' own; checkpoints are found and read by
`training.checkpoints`. A checkpoint also says for which pictures it was made: their side, and the mean
and deviation that its pixels were normalised with; these go into the manifest.

Shapes: N items, S side in pixels, F features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.errors import UsageError
from training.checkpoints import checkpoint_folder, load_module, read_json
from training.errors import DataError
from training.tasks.image_settings import ImageConfig

_PREPROCESSOR_FILE = "preprocessor_config.json"
# Their first token stands for the whole picture; others are averaged over positions.
_CLASS_TOKEN = frozenset({"vit", "deit", "beit", "dinov2", "vit_msn", "data2vec-vision"})
# Networks that are made for one side: their position vectors are as many as their patches.
_FIXED_SIDE = _CLASS_TOKEN
_DEFAULT_SIDE = 224


class ImageBackbone(nn.Module):
    """Pictures float [N, 3, S, S], normalised → features float [N, F]."""

    def __init__(self, network: nn.Module, *, has_class_token: bool) -> None:
        super().__init__()
        self.network = network
        self._has_class_token = has_class_token

    def forward(self, image: Tensor) -> Tensor:
        answer = self.network(pixel_values=image)
        last: Tensor = answer.last_hidden_state
        if self._has_class_token:
            return last[:, 0]
        pooled: Tensor | None = getattr(answer, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        return last.mean(dim=1) if last.ndim == 3 else last.mean(dim=(2, 3))

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """What comes before the layers, each layer or stage, what comes after."""
        layers = _layers(self.network)
        inner = {id(weight) for layer in layers for weight in layer.parameters()}
        outer = [weight for weight in self.network.parameters() if id(weight) not in inner]
        everything = [id(weight) for weight in self.network.parameters()]
        first = min((everything.index(key) for key in inner), default=len(everything))
        before = [weight for weight in outer if everything.index(id(weight)) < first]
        after = [weight for weight in outer if everything.index(id(weight)) > first]
        groups = [before, *(list(layer.parameters()) for layer in layers), after]
        return [group for group in groups if group]


@dataclass(frozen=True)
class ImageCheckpoint:
    """`side` in pixels; `mean` and `std` of value/255, in the order red, green, blue."""

    folder: Path
    kind: str
    backbone: ImageBackbone
    features: int
    side: int
    has_fixed_side: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def image_settings(self, wanted: ImageConfig) -> ImageConfig:
        """`wanted` with what the network needs. Raises UsageError where it cannot have both."""
        if self.has_fixed_side and wanted.side not in (0, self.side):
            raise UsageError(
                f"image.side={wanted.side}: the {self.kind} in {self.folder} takes pictures of "
                f"{self.side} pixels; set that, or 0"
            )
        if wanted.channels == "L":
            raise UsageError(
                f"image.channels=L: the {self.kind} in {self.folder} takes colour, RGB"
            )
        return wanted.model_copy(update={"side": wanted.side or self.side, "channels": "RGB"})


def load_image_backbone(source: str) -> ImageCheckpoint:
    """Read a network; `source` as in `checkpoint_folder`. Raises UsageError, DataError naming the
    file that is missing or wrong."""
    from transformers import AutoModel

    folder = checkpoint_folder(source)
    network = load_module(AutoModel, folder, optional=("pooler",))
    kind = str(network.config.model_type)
    if getattr(network, "main_input_name", "") != "pixel_values":
        raise DataError(f"{folder}: a {kind} model does not read pictures")
    if getattr(network.config, "num_channels", 3) != 3:
        raise DataError(
            f"{folder}: the network takes pictures of {network.config.num_channels} channels, not 3"
        )
    has_class_token = kind in _CLASS_TOKEN
    if has_class_token and getattr(network, "pooler", None) is not None:
        network.pooler = None  # trained for another task, or not at all
    processing = read_json(folder / _PREPROCESSOR_FILE)
    return ImageCheckpoint(
        folder=folder,
        kind=kind,
        backbone=ImageBackbone(network, has_class_token=has_class_token),
        features=_features(folder, network),
        side=_side(processing, network),
        has_fixed_side=kind in _FIXED_SIDE,
        mean=_three(folder, processing, "image_mean", 0.0),
        std=_three(folder, processing, "image_std", 1.0),
    )


def _features(folder: Path, network: Any) -> int:
    sizes = getattr(network.config, "hidden_sizes", None)
    for found in (
        getattr(network.config, "hidden_size", None),
        getattr(network.config, "hidden_dim", None),
        sizes[-1] if sizes else None,
    ):
        if isinstance(found, int):
            return found
    raise DataError(f"{folder}: config.json does not tell how many features the network gives")


def _side(processing: dict[str, Any], network: Any) -> int:
    """What the network itself says, else what its pictures were cut to."""
    crop, size = processing.get("crop_size"), processing.get("size")
    for found in (getattr(network.config, "image_size", None), crop, size):
        if isinstance(found, dict):
            found = found.get("height", found.get("shortest_edge"))
        if isinstance(found, list | tuple) and found:
            found = found[0]
        if isinstance(found, int):
            return found
    return _DEFAULT_SIDE


def _three(
    folder: Path, processing: dict[str, Any], key: str, otherwise: float
) -> tuple[float, float, float]:
    if processing.get("do_normalize") is False or key not in processing:
        return (otherwise,) * 3
    found = processing[key]
    numbers = [float(part) for part in found] if isinstance(found, list) else []
    if len(numbers) != 3:
        raise DataError(f"{folder / _PREPROCESSOR_FILE}: {key} must hold three numbers")
    return numbers[0], numbers[1], numbers[2]


def _layers(network: nn.Module) -> list[nn.Module]:
    """The first list of several modules from above: layers of a transformer, stages of a CNN."""
    for part in network.modules():
        if isinstance(part, nn.ModuleList) and len(part) > 1:
            return list(part)
    return []
