"""The text classifier takes any batch and length, and padding cannot change an answer."""

import pytest
import torch

from training.networks.text_classifier import TextClassifier


@pytest.fixture
def network() -> TextClassifier:
    torch.manual_seed(0)
    return TextClassifier(
        vocabulary=50, classes=4, width=8, filters=6, windows=(2, 3, 5), dropout=0.3
    ).eval()


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 2), (3, 1), (5, 40), (2, 300)])
def test_any_batch_and_length_becomes_logits(
    network: TextClassifier, batch: int, length: int
) -> None:
    ids = torch.randint(0, 50, (batch, length))
    assert network(ids, torch.ones_like(ids)).shape == (batch, 4)


@pytest.mark.parametrize("length", [1, 2, 4, 11])
@pytest.mark.parametrize("padding", [1, 3, 20])
def test_padding_does_not_change_an_answer(
    network: TextClassifier, length: int, padding: int
) -> None:
    ids = torch.randint(0, 50, (2, length))
    alone = network(ids, torch.ones_like(ids))
    rubbish = torch.randint(0, 50, (2, padding))  # what lies under the mask must not matter either
    padded = network(
        torch.cat([ids, rubbish], dim=1),
        torch.cat([torch.ones_like(ids), torch.zeros_like(rubbish)], dim=1),
    )
    # Sums over another length may be added in another order: one or two units in the last place.
    torch.testing.assert_close(padded, alone, atol=1e-6, rtol=0)


def test_what_lies_under_the_mask_changes_not_a_bit(network: TextClassifier) -> None:
    ids = torch.randint(0, 50, (3, 9))
    mask = torch.tensor([[1] * 9, [1] * 4 + [0] * 5, [1] + [0] * 8])
    other = torch.where(mask == 1, ids, torch.randint(0, 50, ids.shape))
    assert torch.equal(network(ids, mask), network(other, mask))


def test_a_row_of_padding_alone_is_finite(network: TextClassifier) -> None:
    ids = torch.zeros((2, 5), dtype=torch.int64)
    assert bool(network(ids, torch.zeros_like(ids)).isfinite().all())


def test_the_order_of_tokens_matters(network: TextClassifier) -> None:
    ids = torch.tensor([[1, 2, 3, 4]])
    ones = torch.ones_like(ids)
    assert not torch.allclose(network(ids, ones), network(ids.flip(1), ones))


def test_every_weight_learns(network: TextClassifier) -> None:
    ids = torch.randint(0, 50, (16, 12))
    network(ids, torch.ones_like(ids)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert bool((weight.grad != 0).any()), name
