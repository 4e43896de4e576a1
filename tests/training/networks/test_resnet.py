"""ResNets have the layers and the sizes that their papers give them."""

import pytest
import torch
from torch import nn

from training.networks.resnet import DeepResNet, resnet


@pytest.mark.parametrize(
    ("depth", "weights"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)]
)
def test_at_the_papers_size_they_have_the_published_number_of_weights(
    depth: int, weights: int
) -> None:
    with torch.device("meta"):
        network = resnet(3, 224, 1000, depth, 64)  # type: ignore[arg-type]
    assert sum(weight.numel() for weight in network.parameters()) == weights


@pytest.mark.parametrize("depth", [9, 18, 34, 50])
def test_the_number_of_layers_with_weights_is_the_name(depth: int) -> None:
    with torch.device("meta"):
        network = resnet(3, 32, 10, depth, 8)  # type: ignore[arg-type]
    layers = [
        name
        for name, part in network.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(layers) == (8 + 1 if depth == 9 else depth)


@pytest.mark.parametrize(("side", "last"), [(8, 4), (16, 4), (32, 4), (64, 4), (224, 7)])
def test_the_last_map_is_never_smaller_than_four(side: int, last: int) -> None:
    network = DeepResNet(1, side, 5, 18, 4).eval()
    maps: list[torch.Tensor] = []
    network.stages[-1].register_forward_hook(lambda _, __, output: maps.append(output))
    network(torch.zeros(1, 1, side, side))
    assert maps[0].shape[2:] == (last, last)
