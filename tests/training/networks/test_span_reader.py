"""Readers of question and passage: any batch, any length, and padding changes nothing."""

import numpy as np
import pytest
import torch

from training.networks.recurrent import RecurrentEncoder
from training.networks.span_reader import SpanHead, SpanReader
from training.networks.transformer_encoder import TransformerEncoder


def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    recurrent = RecurrentEncoder("gru", vocabulary=20, width=8, units=4, layers=1, dropout=0.1)
    transformer = TransformerEncoder(
        vocabulary=20, width=8, layers=1, heads=2, inner=8, max_tokens=16, dropout=0.1
    )
    return {
        "head": SpanHead(transformer, dropout=0.1).eval(),
        "reader": SpanReader(recurrent, units=4, dropout=0.1).eval(),
    }


def batch(rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows * 100 + length)
    ids = torch.randint(1, 20, (rows, length), generator=generator)
    types = (torch.arange(length) >= length // 2).long().expand(rows, length).contiguous()
    return ids, torch.ones_like(ids), types


@pytest.mark.parametrize("name", ["head", "reader"])
@pytest.mark.parametrize(("rows", "length"), [(1, 1), (2, 7), (5, 16)])
def test_every_token_has_a_start_and_an_end(name: str, rows: int, length: int) -> None:
    start, end = networks()[name](*batch(rows, length))
    assert start.shape == end.shape == (rows, length)
    assert torch.isfinite(start).all()
    assert torch.isfinite(end).all()


@pytest.mark.parametrize("name", ["head", "reader"])
def test_padding_and_neighbours_change_no_logit_that_counts(name: str) -> None:
    network = networks()[name]
    ids, mask, types = batch(2, 9)
    alone = network(ids[:1, :6], mask[:1, :6], types[:1, :6])
    mask[0, 6:] = 0
    types[0, 6:] = 0
    together = network(ids, mask, types)
    for one, other in zip(alone, together, strict=True):
        assert np.allclose(one[0].detach(), other[0, :6].detach(), atol=1e-5)
        assert (other[0, 6:] < -1e3).all()


def test_the_reader_sees_which_tokens_the_question_has() -> None:
    network = networks()["reader"]
    assert isinstance(network, SpanReader)
    assert isinstance(network.encoder, RecurrentEncoder)
    ids = torch.tensor([[3, 4, 5, 6, 7, 8]])
    types = torch.tensor([[0, 0, 1, 1, 1, 1]])
    asked = ids.clone()
    asked[0, 0] = 6  # now the question has the passage's second token
    mask = torch.ones_like(ids)
    network.encoder.embedding.weight.data.zero_()  # leaves the comparison of tokens alone
    one, other = network(ids, mask, types)[0], network(asked, mask, types)[0]
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("name", ["head", "reader"])
def test_layer_groups_hold_every_weight_once(name: str) -> None:
    network = networks()[name]
    grouped = [id(weight) for group in network.layer_groups() for weight in group]  # type: ignore[operator]
    assert sorted(grouped) == sorted(id(weight) for weight in network.parameters())
