"""From one noise to another, through noises that are as likely as both.

Normal noise of many numbers lies near a sphere. Halfway on the straight line between two of them lies one
that is much too short, and a network that learned from noise draws a pale mean for it; so the way leads
along the sphere (K. Shoemake 1985, "slerp"; T. White 2016, arXiv:1609.04468). Plain numpy.
"""

import numpy as np

_NEARLY_PARALLEL = 1e-4


def between(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """`first` at `share` 0, `second` at 1; of any one shape, float32."""
    left, right = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    lengths = np.linalg.norm(left) * np.linalg.norm(right)
    cosine = float(left @ right / lengths) if lengths else 1.0
    angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    sine = float(np.sin(angle))
    if abs(sine) < _NEARLY_PARALLEL:
        mixed = (1 - share) * left + share * right
    else:
        mixed = (np.sin((1 - share) * angle) * left + np.sin(share * angle) * right) / sine
    return mixed.reshape(first.shape).astype(np.float32)


def shares(frames: int) -> list[float]:
    """From 0 to 1 in `frames` equal steps; a single frame is the first."""
    return [index / max(1, frames - 1) for index in range(frames)]
