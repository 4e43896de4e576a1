"""What an anomaly detector's map means: a grey picture of the size of the picture that was asked about.

Used by the service for answers and by training for its sample sheet. Letters: H height and W width in pixels
of the wanted picture, h and w of the graph's map.
"""

import io
import math

import numpy as np
from PIL import Image

from models.transforms.geometry import Placement, Size

_LEAST_RANGE = 1e-12


def grey_levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Uint8 of the same shape: `low` and below black, `high` and above white."""
    scaled = (values.astype(np.float64) - low) / max(high - low, _LEAST_RANGE)
    levels: np.ndarray = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return levels


def heat_map(values: np.ndarray, placed: Placement, size: Size, low: float, high: float) -> bytes:
    """PNG of 8-bit grey, `size` (width, height), of the map float32 [h, w] of the whole canvas: the part
    where the picture lies."""
    rows, columns = values.shape
    across, down = columns / placed.canvas[0], rows / placed.canvas[1]
    box = (
        placed.left * across,
        placed.top * down,
        min((placed.left + max(1, placed.size[0])) * across, columns),  # rounding may go beyond
        min((placed.top + max(1, placed.size[1])) * down, rows),
    )
    # Shades are enlarged, not values: a quarter of the memory, and no visible difference.
    image = Image.fromarray(grey_levels(values, low, high))
    if size != image.size or box != (0, 0, columns, rows):
        # Cropped first: the resampling looks beyond its box, and a letterbox's border would shine through.
        left, top = math.floor(box[0]), math.floor(box[1])
        image = image.crop((left, top, math.ceil(box[2]), math.ceil(box[3])))
        inner = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
        image = image.resize(size, Image.Resampling.BILINEAR, box=inner)
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()
