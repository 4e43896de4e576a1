"""The least goes first, and only so much of it."""

from typing import Any

import pytest
import torch
from torch import nn

from models.errors import UsageError
from training.pruning.magnitude import apply, structured_masks, unstructured_masks


def layer(network: nn.Sequential, place: int) -> Any:
    return network[place]


def test_the_smallest_weights_of_all_layers_together_go_first() -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    with torch.no_grad():
        layer(network, 0).weight.copy_(torch.arange(1.0, 21).reshape(5, 4))
        layer(network, 2).weight.copy_(-torch.arange(1.0, 11).reshape(2, 5) / 100)
    masks = unstructured_masks(network, 0.4)  # 12 of 30: all ten of the head, 1 and 2 of the first
    assert not masks["2.weight"].any()
    assert (~masks["0.weight"]).nonzero().tolist() == [[0, 0], [0, 1]]
    assert set(masks) == {"0.weight", "2.weight"}


def test_nothing_goes_at_zero() -> None:
    network = nn.Sequential(nn.Linear(4, 5))
    assert all(mask.all() for mask in unstructured_masks(network, 0.0).values())


def test_tied_embeddings_are_left_alone() -> None:
    embedding, head, layer = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False), nn.Linear(4, 4)
    head.weight = embedding.weight
    assert set(unstructured_masks(nn.Sequential(embedding, layer, head), 0.5)) == {"1.weight"}


def test_a_channel_counts_by_its_weights_and_by_the_norm_behind_it() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        layer(network, 0).weight.copy_(torch.tensor([[9.0], [1.0], [2.0], [3.0]]).expand(4, 3))
        layer(network, 1).weight.copy_(torch.tensor([0.001, 1.0, 1.0, 1.0]))
    masks = structured_masks(network, 0.5)
    assert masks["1.weight"].tolist() == [False, False, True, True]
    assert set(masks) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    apply(masks, network)
    assert not layer(network, 0).weight[:2].any()
    assert not layer(network, 1).bias[:2].any()
    assert layer(network, 3).weight.all()


def test_one_channel_stays_whatever_the_amount() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert int(structured_masks(network, 0.99)["0.bias"].sum()) == 1


def test_networks_without_anything_to_take_are_refused() -> None:
    with pytest.raises(UsageError, match="no layer of Linear has channels"):
        structured_masks(nn.Linear(2, 2), 0.5)
    with pytest.raises(UsageError, match="has no linear or convolution layer"):
        unstructured_masks(nn.Sequential(nn.ReLU()), 0.5)
