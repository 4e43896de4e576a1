"""The residual network fits pictures of any small size and starts as a sane function."""

import pytest
import torch

from training.networks.residual import ResidualClassifier, stages_for


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 32), (3, 64), (1, 9), (3, 4)])
def test_any_small_picture_becomes_logits(channels: int, side: int) -> None:
    network = ResidualClassifier(channels, side, classes=5, width=8).eval()
    logits = network(torch.randn(3, channels, side, side))
    assert logits.shape == (3, 5)
    assert bool(logits.isfinite().all())


def test_stages_grow_with_the_picture() -> None:
    assert [stages_for(side) for side in (4, 8, 16, 32, 64)] == [1, 2, 3, 4, 4]


def test_an_answer_does_not_depend_on_its_neighbours() -> None:
    network = ResidualClassifier(1, 8, classes=4, width=8).eval()
    rows = torch.randn(6, 1, 8, 8)
    torch.testing.assert_close(network(rows)[2:3], network(rows[2:3]), atol=1e-6, rtol=1e-5)


def test_every_weight_learns() -> None:
    network = ResidualClassifier(1, 8, classes=4, width=8)
    for _ in range(2):  # the second step reaches what the zero-initialised norms hide at first
        network(torch.randn(8, 1, 8, 8)).square().sum().backward()
        with torch.no_grad():
            for weight in network.parameters():
                assert weight.grad is not None
                weight -= 0.01 * weight.grad
    assert all(bool((weight.grad != 0).any()) for weight in network.parameters())
