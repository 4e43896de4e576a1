"""Standard normal noise that is the same for the same seed on every machine and numpy version.

numpy promises the stream of a bit generator but not that of its distributions (NEP 19), so the raw
words of the counter-based Philox generator are turned into normal numbers here (Box and Muller, 1958).
"""

import numpy as np

_SPACING = 2.0**-53
_CHOICES = 1  # counter word that keeps choices apart from noise, which never counts so far


def normal_noise(seed: int, index: int, size: int) -> np.ndarray:
    """float32 [size]. `index` selects an independent stream of the same seed (the n-th picture)."""
    # The stream number sits in the counter's top word: streams are 2^192 blocks apart.
    generator = np.random.Philox(key=seed, counter=[0, 0, 0, index])
    pairs = (size + 1) // 2
    words = generator.random_raw(2 * pairs)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * _SPACING
    radius = np.sqrt(-2.0 * np.log(uniform[:pairs]))
    angle = 2.0 * np.pi * uniform[pairs:]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return normal[:size].astype(np.float32)


def choice(seed: int, index: int, count: int) -> int:
    """One of `count`, 0 to count − 1, all as likely; independent of the noise of the same seed."""
    word = np.random.Philox(key=seed, counter=[0, 0, _CHOICES, index]).random_raw()
    return int(word) % count
