"""The last step of every anomaly detector: unusualness by place → a smooth map of the picture, and its peak.

Shapes: N items, h×w cells, H×W pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_REACH = 3  # deviations; the blur's kernel ends there


class AnomalyMap(nn.Module):
    """[N, h, w] ≥ 0 → (score [N], map [N, H, W]). The score is the map's maximum."""

    kernel: Tensor

    def __init__(self, height: int, width: int, deviation_pixels: float) -> None:
        super().__init__()
        self._size = (height, width)
        self._radius = max(1, round(_REACH * deviation_pixels))
        steps = torch.arange(-self._radius, self._radius + 1, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (steps / deviation_pixels) ** 2)
        self.register_buffer("kernel", kernel / kernel.sum())

    def forward(self, unusual: Tensor) -> tuple[Tensor, Tensor]:
        enlarged = functional.interpolate(
            unusual[:, None], self._size, mode="bilinear", align_corners=False
        )
        radius = self._radius
        # Edges are repeated: zeros beyond them would make every edge look usual.
        padded = functional.pad(enlarged, (radius, radius, radius, radius), mode="replicate")
        blurred = functional.conv2d(padded, self.kernel.reshape(1, 1, 1, -1))
        smooth = functional.conv2d(blurred, self.kernel.reshape(1, 1, -1, 1))[:, 0]
        return smooth.amax(dim=(1, 2)), smooth
