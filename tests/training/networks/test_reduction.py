"""Small pictures are halved less often than the papers' 224 pixels, and never away."""

import pytest

from training.networks.reduction import MOST_HALVINGS, halvings, strides


@pytest.mark.parametrize(
    ("side", "count"), [(1, 0), (4, 0), (8, 1), (28, 2), (32, 3), (64, 4), (128, 5), (512, 5)]
)
def test_the_last_map_stays_about_four_wide(side: int, count: int) -> None:
    assert halvings(side) == count


@pytest.mark.parametrize("side", [4, 8, 31, 32, 64, 224])
def test_the_first_places_lose_their_stride_first(side: int) -> None:
    given = strides(side, MOST_HALVINGS)
    assert given == tuple(sorted(given))
    assert given.count(2) == halvings(side)
