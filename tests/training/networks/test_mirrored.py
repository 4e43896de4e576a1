"""The mirrored average answers a picture and its mirror image alike."""

import torch
from torch import nn

from training.networks.mirrored import Mirrored


def test_logits_are_the_mean_of_both_sides_for_every_batch() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5))
    for count in (1, 3):
        image = torch.randn(count, 3, 4, 4)
        mirror = image.flip(3)
        expected = (network(image) + network(mirror)) / 2
        assert torch.allclose(Mirrored(network)(image), expected, atol=1e-6)
        assert torch.allclose(Mirrored(network)(mirror), expected, atol=1e-6)
