"""How often a network halves a picture. Shared by the families that were designed for 224 pixels.

At 224 pixels those networks end on maps 7 wide after five halvings. The same five would leave one
position of a 32-pixel picture, most of it padding. So the number of halvings follows the picture: as many
as leave a last map about 4 wide, and five at most. Which halvings a small picture goes without is each
network's own decision, told in its module.
"""

import math

_LAST_SIDE = 4  # pixels; smaller maps hold more padding than picture
MOST_HALVINGS = 5


def halvings(side: int) -> int:
    """8 → 1, 16 → 2, 32 → 3, 64 → 4, 128 and more → 5; sides between round down."""
    return max(0, min(MOST_HALVINGS, int(math.log2(max(side, 1) / _LAST_SIDE))))


def strides(side: int, places: int) -> tuple[int, ...]:
    """A stride for each of `places` (≤ 5) that may halve, the last ones first: 1 or 2.

    The first places lose theirs first: early maps are where a small picture still has its detail.
    """
    count = min(halvings(side), places)
    return (1,) * (places - count) + (2,) * count
