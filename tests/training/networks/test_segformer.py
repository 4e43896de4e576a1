import torch

from training.networks.segformer import Segformer


def test_the_answer_has_the_pictures_size() -> None:
    network = Segformer(classes=5, width=8, depth=1).eval()
    for batch, side in ((1, 64), (2, 48)):
        assert network(torch.randn(batch, 3, side, side)).shape == (batch, 5, side, side)


def test_every_weight_stands_in_exactly_one_group() -> None:
    network = Segformer(classes=2, width=8, depth=1)
    grouped = [id(weight) for group in network.layer_groups() for weight in group]
    assert sorted(grouped) == sorted(id(weight) for weight in network.parameters())
