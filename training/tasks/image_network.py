"""The network of an image work: a family with fresh weights, or the checkpoint of `--pretrained`.

Used by the works on single pictures (classification, embedding); `training.networks.registry` knows the
families, `training.pretrained_image` the checkpoints.
"""

import tempfile
from pathlib import Path

from torch import nn

from models.errors import UsageError
from training.networks import registry
from training.networks.image_backbone import BackboneClassifier
from training.pretrained_image import ImageCheckpoint, load_image_backbone
from training.sample_image_checkpoint import write_sample_backbone
from training.tasks.image_settings import ImageNetworkConfig


def find_checkpoint(config: ImageNetworkConfig, *, has_data: bool) -> ImageCheckpoint | None:
    """The checkpoint that `config` asks for, read anew; without data and source a small random one."""
    source = config.pretrained.source
    if source is not None:
        return load_image_backbone(source)
    if config.network != registry.PRETRAINED:
        return None
    if has_data:  # random weights would only look like transfer learning
        raise UsageError(
            "network pretrained: name a checkpoint, --pretrained PATH_OR_ID (a folder with "
            "config.json and model.safetensors)"
        )
    with tempfile.TemporaryDirectory(prefix="slipway-sample-checkpoint-") as folder:
        write_sample_backbone(Path(folder), seed=config.seed)
        return load_image_backbone(folder)


def build_network(
    config: ImageNetworkConfig,
    checkpoint: ImageCheckpoint | None,
    *,
    channels: int,
    side: int,
    outputs: int,
) -> nn.Module:
    """Pictures float [N, channels, side, side], normalised → float [N, outputs]."""
    if checkpoint is not None:
        return BackboneClassifier(checkpoint, outputs, config.dropout)
    return registry.build(config, channels=channels, side=side, classes=outputs)


def network_summary(config: ImageNetworkConfig, checkpoint: ImageCheckpoint | None) -> str:
    """For the table of what was read."""
    if checkpoint is None:
        return config.network
    source, kind = config.pretrained.source, checkpoint.kind
    made = f"a small {kind} with random weights, made here; --pretrained names a real one"
    return f"{kind} from {source}" if source else made
