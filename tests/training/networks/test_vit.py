"""The Vision Transformer sees every pixel and knows where each patch stood."""

import pytest
import torch

from training.networks.vit import VisionTransformer


def vit(side: int, patch: int = 0) -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(1, side, 4, patch, 24, 2, 3).eval()


@pytest.mark.parametrize(
    ("side", "patch", "tokens"), [(32, 0, 65), (64, 0, 65), (30, 0, 65), (28, 7, 17), (8, 16, 2)]
)
def test_patches_cover_the_picture(side: int, patch: int, tokens: int) -> None:
    assert vit(side, patch).positions.shape[1] == tokens


@pytest.mark.parametrize("side", [32, 30])
def test_every_pixel_counts_up_to_the_border(side: int) -> None:
    image = torch.randn(1, 1, side, side, requires_grad=True)
    vit(side)(image).square().sum().backward()
    assert image.grad is not None
    assert bool((image.grad != 0).all())


def test_the_order_of_patches_counts() -> None:
    image = torch.randn(1, 1, 32, 32)
    moved, network = image.roll(4, dims=3), vit(32)
    with torch.no_grad():
        placed = (network(image) - network(moved)).abs().max()
        network.positions.zero_()
        placeless = (network(image) - network(moved)).abs().max()
    assert placed > 10 * placeless


def test_base_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        network = VisionTransformer(3, 224, 1000, 16, 768, 12, 12)
    assert sum(weight.numel() for weight in network.parameters()) == 86_567_656
