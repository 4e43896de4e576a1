"""A conditional variational autoencoder for small pictures, as multilayer perceptrons.

Kingma & Welling 2013 (arXiv:1312.6114); the class enters encoder and decoder (Sohn et al. 2015). The
encoder is needed for training only: what is exported is `Generator`.

Shapes: N items, C channels, S side in pixels, P = C·S·S, L latent numbers, K classes, E label features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_LABEL_FEATURES = 16


@dataclass(frozen=True)
class VaeShape:
    channels: int
    side: int
    classes: int
    latent: int
    hidden: int

    @property
    def pixels(self) -> int:
        return self.channels * self.side * self.side


class Generator(nn.Module):
    """Noise float [N, L] and label int64 [N] → picture float [N, C, S, S] in 0–1."""

    def __init__(self, shape: VaeShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.classes, _LABEL_FEATURES)
        self.layers = _perceptron(shape.latent + _LABEL_FEATURES, shape.hidden, shape.pixels)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(noise, label))

    def logits(self, noise: Tensor, label: Tensor) -> Tensor:
        """Before the sigmoid, float [N, C, S, S]: the loss is steadier on these."""
        features = torch.cat((noise, self.embedding(label)), dim=1)
        shape = self.shape
        flat: Tensor = self.layers(features)
        return flat.reshape(-1, shape.channels, shape.side, shape.side)


class ConditionalVae(nn.Module):
    """Encoder and generator, trained together."""

    def __init__(self, shape: VaeShape) -> None:
        super().__init__()
        self.generator = Generator(shape)
        self.embedding = nn.Embedding(shape.classes, _LABEL_FEATURES)
        self.encoder = _perceptron(shape.pixels + _LABEL_FEATURES, shape.hidden, 2 * shape.latent)

    def forward(self, picture: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Picture [N, C, S, S] in 0–1 → (picture logits [N, C, S, S], mean [N, L], log variance [N, L])."""
        features = torch.cat((picture.flatten(1), self.embedding(label)), dim=1)
        mean, log_variance = self.encoder(features).chunk(2, dim=1)
        noise = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.generator.logits(noise, label), mean, log_variance


def _perceptron(features_in: int, hidden: int, features_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features_in, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, features_out),
    )
