"""timm's networks by name: built where timm is, a clear word where it is not."""

import importlib.util

import pytest
import torch

from models.errors import UsageError
from tests.training.networks.image_networks import small_network


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_the_remedy_is_named() -> None:
    with pytest.raises(UsageError, match=r"network timm:resnet18: .*pip install timm"):
        small_network("timm:resnet18", 3, 32)


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224"])
def test_timms_networks_take_pictures_of_any_side_and_colour(name: str) -> None:
    pytest.importorskip("timm")
    network = small_network(f"timm:{name}", 1, 32).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 1, 32, 32)).shape == (2, 5)
    listed = [id(weight) for group in network.layer_groups() for weight in group]
    assert sorted(listed) == sorted(id(weight) for weight in network.parameters())


def test_an_unknown_name_is_answered_with_similar_ones() -> None:
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match="timm knows no such network; similar names: "):
        small_network("timm:resnet18_of_mine", 3, 32)
