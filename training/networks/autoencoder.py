"""A convolutional autoencoder, and the map of what it cannot redraw.

Through a narrow middle it learns to draw what good pictures show; what it has never seen it draws wrong
(for inspection: P. Bergmann et al. 2018, arXiv:1807.02011). Differences count as far as they have the same
sign in a small neighbourhood: the phase of a fine texture and noise pass through no narrow middle, and are no
defect. They are measured against how well good pictures are redrawn.

Shapes: N items, C channels, S side in pixels (a multiple of 2^halvings), L latent channels.
"""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.anomaly_map import AnomalyMap

_GRAIN_PIXELS = 5  # differences are averaged over squares of this side before they count


class Autoencoder(nn.Module):
    """Pictures float [N, C, S, S], normalised → the same, redrawn."""

    def __init__(self, width: int, latent: int, channels: int = 3, halvings: int = 4) -> None:
        super().__init__()
        widths = [width * 2 ** min(step, 2) for step in range(halvings)]
        layers: list[nn.Module] = []
        for before, after in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers.append(nn.Conv2d(widths[-1], latent, 1))
        self.encoder = nn.Sequential(*layers)
        layers = [nn.Conv2d(latent, widths[-1], 1)]
        back = [*widths[::-1], width]
        for before, after in pairwise(back):
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(before, after, 3, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        layers.append(nn.Conv2d(width, channels, 3, padding=1))
        self.decoder = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        redrawn: Tensor = self.decoder(self.encoder(image))
        return redrawn


class ReconstructionMap(nn.Module):
    """Pictures float [N, 3, S, S], normalised → (score [N], map [N, S, S]); `measure` must come first."""

    usual: Tensor

    def __init__(self, autoencoder: Autoencoder, last: AnomalyMap) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.last = last
        self.register_buffer("usual", torch.ones(()))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        answer: tuple[Tensor, Tensor] = self.last(self._error(image) / self.usual)
        return answer

    @torch.no_grad()
    def measure(self, batches: Iterable[Tensor]) -> None:
        """The mean error of good pictures becomes 1."""
        errors = torch.cat([self._error(batch).flatten() for batch in batches])
        self.usual = errors.mean().clamp(min=1e-12)

    def _error(self, image: Tensor) -> Tensor:
        difference = functional.avg_pool2d(
            self.autoencoder(image) - image,
            _GRAIN_PIXELS,
            stride=1,
            padding=_GRAIN_PIXELS // 2,
            count_include_pad=False,
        )
        return difference.pow(2).mean(dim=1)
