"""Only channels that nobody else's are added to can be taken out."""

import pytest
import torch
from torch import Tensor, nn

from models.errors import UsageError
from training.networks.lenet import LeNet
from training.networks.mlp import Mlp
from training.networks.resnet import DeepResNet, QuickResNet
from training.networks.vgg import Vgg
from training.pruning.chains import Chain, find_chains


def test_hidden_layers_of_a_perceptron_are_chains_and_the_head_is_none() -> None:
    network = Mlp(channels=1, side=4, classes=3, hidden=(8, 6))
    assert find_chains(network) == [
        Chain("layers.0.0", ("layers.0.1",), (("layers.1.0", 1),)),
        Chain("layers.1.0", ("layers.1.1",), (("head", 1),)),
    ]


def test_a_flattened_map_is_read_at_all_its_positions() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9, 2)
    )
    assert find_chains(network) == [Chain("0", (), (("4", 9),))]


def test_what_is_added_to_a_shortcut_keeps_its_channels() -> None:
    network = QuickResNet(channels=3, side=32, classes=5, width=8)
    producers = {chain.producer for chain in find_chains(network)}
    inner = {name for name, part in network.named_modules() if type(part).__name__ == "_Pair"}
    assert inner
    assert {f"{pair}.layers.0" for pair in inner} <= producers
    assert not {f"{pair}.layers.3" for pair in inner} & producers


@pytest.mark.parametrize("depth", [18, 50])
def test_every_block_of_a_deep_resnet_has_channels_inside(depth: int) -> None:
    network = DeepResNet(channels=3, side=32, classes=5, depth=depth, width=8)  # type: ignore[arg-type]
    chains = [chain for chain in find_chains(network) if chain.producer.startswith("stages.")]
    blocks = sum(len(stage) for stage in network.stages)  # type: ignore[misc, arg-type]
    assert len(chains) == blocks * (2 if depth == 50 else 1)


def test_all_convolutions_of_a_plain_network_but_none_of_its_head() -> None:
    network = Vgg(channels=3, side=32, classes=5, depth=11, width=8, hidden=16)
    weighted = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [chain.producer for chain in find_chains(network)] == weighted[:-1]


def test_lenet_is_followed_through_its_activations() -> None:
    assert find_chains(LeNet(channels=1, side=28, classes=3, activation="relu"))


def test_a_layer_that_is_used_twice_is_left_alone() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            head: Tensor = self.head(self.layer(self.layer(x)))
            return head

    assert find_chains(Twice()) == []


def test_a_network_that_decides_by_values_is_refused_with_the_other_kind() -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if bool(torch.any(x > 0)) else -x

    with pytest.raises(UsageError, match=r"Deciding decides by values .* take pruning.kind=unstr"):
        find_chains(Deciding())
