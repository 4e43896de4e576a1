import pytest
import torch

from training.networks.fcos import Fcos, level_sides


@pytest.mark.parametrize(("side", "levels"), [(64, 3), (96, 2), (70, 3), (33, 1)])
def test_every_cell_of_every_level_has_a_box_and_scores(side: int, levels: int) -> None:
    network = Fcos(side, classes=4, width=4, features=8, levels=levels).eval()
    cells = sum(count**2 for count in level_sides(side, levels))
    for batch in (1, 3):
        boxes, scores = network(torch.randn(batch, 3, side, side))
        assert boxes.shape == (batch, cells, 4)
        assert scores.shape == (batch, cells, 4)
    assert (boxes[..., 2:] > boxes[..., :2]).all()
    assert ((scores > 0) & (scores < 1)).all()


def test_cells_lie_in_the_order_of_their_maps() -> None:
    network = Fcos(32, classes=1, width=4, features=8, levels=2)
    assert network.centres[:5].tolist() == [[4, 4], [12, 4], [20, 4], [28, 4], [4, 12]]
    assert network.centres[16:].tolist() == [[8, 8], [24, 8], [8, 24], [24, 24]]
    assert network.strides.tolist() == [8.0] * 16 + [16.0] * 4


def test_at_first_nothing_is_found() -> None:
    torch.manual_seed(0)
    network = Fcos(64, classes=5, width=8, features=16, levels=3).eval()
    _, scores = network(torch.randn(2, 3, 64, 64))
    assert scores.max() < 0.2  # sqrt(0.01 · 0.5) is 0.07


def test_every_weight_stands_in_exactly_one_group() -> None:
    network = Fcos(32, classes=2, width=4, features=8, levels=2)
    grouped = [id(weight) for group in network.layer_groups() for weight in group]
    assert sorted(grouped) == sorted(id(weight) for weight in network.parameters())
