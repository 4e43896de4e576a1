"""Smaller layers, the same answers."""

from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import nn

from training.networks.alexnet import AlexNet
from training.networks.inception import Inception
from training.networks.lenet import LeNet
from training.networks.mlp import Mlp
from training.networks.residual import ResidualClassifier
from training.networks.resnet import DeepResNet, QuickResNet
from training.networks.vgg import Vgg
from training.pruning.magnitude import apply, structured_masks
from training.pruning.shrink import shrunk, weights_in

_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: Mlp(3, 32, 5, (24, 16)),
    "lenet": lambda: LeNet(3, 32, 5, "tanh"),
    "alexnet": lambda: AlexNet(3, 32, 5, width=8, hidden=32),
    "vgg": lambda: Vgg(3, 32, 5, 11, width=8, hidden=32),
    "residual": lambda: ResidualClassifier(3, 32, 5, 8),
    "resnet-9": lambda: QuickResNet(3, 32, 5, 8),
    "resnet-18": lambda: DeepResNet(3, 32, 5, 18, 8),
    "resnet-50": lambda: DeepResNet(3, 32, 5, 50, 8),
    "inception": lambda: Inception(3, 32, 5, width=0.1),
}


def _learned(make: Callable[[], nn.Module]) -> nn.Module:
    """With norms that have seen something, so that a constant left behind would show."""
    torch.manual_seed(0)
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("name", _NETWORKS)
def test_a_network_without_its_zeroed_channels_answers_the_same(name: str) -> None:
    network = _learned(_NETWORKS[name])
    apply(structured_masks(network, 0.5), network)
    smaller = shrunk(network)
    assert weights_in(smaller) < 0.8 * weights_in(network)
    pictures = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(smaller(pictures), network(pictures), atol=1e-4, rtol=1e-4)


def test_a_network_that_was_not_pruned_keeps_every_weight() -> None:
    network = _learned(_NETWORKS["resnet-9"])
    assert weights_in(shrunk(network)) == weights_in(network)


def test_a_channel_that_says_a_constant_is_alive() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        first, norm = cast("nn.Linear", network[0]), cast("nn.BatchNorm1d", network[1])
        first.weight[1] = 0
        first.bias[1] = 0
        assert norm.running_mean is not None
        norm.running_mean[1] = -1.0  # so that the norm makes one of the zero
    smaller = shrunk(network)
    assert weights_in(smaller) == weights_in(network)
