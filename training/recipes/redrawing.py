"""Recipes `image-denoiser` and `image-vae`: a picture in, the same picture out."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.reconstruction_settings import ImageReconstructionConfig


def image_denoiser() -> ImageReconstructionConfig:
    """Takes away what good pictures do not have; `noise_level=0` makes a plain autoencoder of it."""
    return ImageReconstructionConfig(
        recipe="image-denoiser",
        task="image-reconstruction",
        name="image-denoiser",
        epochs=60,
        batch_size=64,
        keep="last",
        cpu_threads=1,
        width=32,
        latent=32,
        halvings=2,
        optim=OptimConfig(learning_rate=3e-3, weight_decay=0.01),
        gates=GateConfig(
            beats=("as-given", "median-filter", "gaussian-filter"), accuracy_budget=0.1
        ),
        batching=Batching(max_batch_size=64),
    )


def image_vae() -> ImageReconstructionConfig:
    """A variational autoencoder: what lies between two pictures is a picture too."""
    return image_denoiser().model_copy(
        update={
            "recipe": "image-vae",
            "name": "image-vae",
            "latent": 4,
            "noise_level": 0.0,
            "beta": 0.5,
            "interpolates": True,
            "gates": GateConfig(beats=("mean-picture",), accuracy_budget=0.1),
        }
    )
