"""Redrawing pictures through a narrow middle, as it is exported: noise, for one, does not come through.

Denoising: P. Vincent et al. 2008, ICML. With `is_variational` the middle is held near a standard normal cloud
(D. Kingma, M. Welling 2013, arXiv:1312.6114), so that what lies between two pictures is a picture too.

Shapes: N items, C channels, S side in pixels (a multiple of 2^halvings), L latent channels, M the side
of the middle.
"""

import torch
from torch import Tensor, nn

from training.networks.autoencoder import Autoencoder


class Redrawer(nn.Module):
    """Pictures float [N, C, S, S], normalised → (redrawn, normalised; mean, log variance [N, L, M, M])."""

    def __init__(
        self, channels: int, width: int, latent: int, halvings: int, *, is_variational: bool
    ) -> None:
        super().__init__()
        self.autoencoder = Autoencoder(width, latent, channels, halvings)
        last = self.autoencoder.encoder[-1]
        assert isinstance(last, nn.Conv2d)
        self.spread = nn.Conv2d(last.in_channels, latent, 1) if is_variational else None

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.autoencoder.encoder[:-1](image)
        mean = self.autoencoder.encoder[-1](features)
        if self.spread is None:
            return self.autoencoder.decoder(mean), mean, torch.zeros_like(mean)
        log_variance = self.spread(features).clamp(-10, 10)
        middle = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.autoencoder.decoder(middle), mean, log_variance


class Redrawing(nn.Module):
    """Image float [N, C, S, S], normalised → the same in 0–1, redrawn."""

    mean: Tensor
    std: Tensor

    def __init__(self, redrawer: Redrawer, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.autoencoder = redrawer.autoencoder
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return self.drawn(self.autoencoder.encoder(image))

    def drawn(self, middle: Tensor) -> Tensor:
        picture: Tensor = self.autoencoder.decoder(middle) * self.std + self.mean
        return picture.clamp(0, 1)


class Between(nn.Module):
    """Two pictures float [N, C, S, S], normalised, and mix float [N] → what lies between: the first at mix
    0, the second at 1, redrawn, in 0–1."""

    def __init__(self, redrawing: Redrawing) -> None:
        super().__init__()
        self.redrawing = redrawing

    def forward(self, image: Tensor, image_to: Tensor, mix: Tensor) -> Tensor:
        encoder = self.redrawing.autoencoder.encoder
        begin, end = encoder(image), encoder(image_to)
        return self.redrawing.drawn(begin + mix[:, None, None, None] * (end - begin))
