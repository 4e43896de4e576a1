"""An image checkpoint made on the spot: a small ResNet with random weights, in the layout of others.

Stands in for a downloaded one where there is none, so that transfer learning can be tried without any file
and all that happens to a real checkpoint happens to this one. It has learned nothing.
"""

import json
from pathlib import Path

import torch

from training.checkpoints import quiet_transformers


def write_sample_backbone(folder: Path, *, seed: int, side: int = 32) -> None:
    """config.json, model.safetensors and preprocessor_config.json in `folder`, the same for a seed."""
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 64],
        depths=[1, 1, 1],
        layer_type="basic",
    )
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(seed)
        ResNetModel(config).save_pretrained(folder)
    processing = {
        "size": {"height": side, "width": side},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processing))
