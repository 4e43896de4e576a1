"""Xavier and He draw what their papers say, for linear and convolution layers and for no others."""

import math

import pytest
import torch
from torch import nn

from training.initialisation import initialise


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(16, 64, 3), nn.BatchNorm2d(64), nn.Flatten(), nn.Linear(400, 200), nn.LSTM(8, 8)
    )


def test_xavier_is_uniform_within_its_bound_with_biases_of_zero() -> None:
    made = network()
    initialise(made, "xavier")
    for place, fans in ((0, 16 * 9 + 64 * 9), (3, 600)):
        weight, bias = made[place].parameters()
        limit = math.sqrt(6 / fans)
        assert float(weight.detach().abs().max()) <= limit
        assert float(weight.detach().std()) == pytest.approx(limit / math.sqrt(3), rel=0.03)
        assert float(bias.detach().abs().max()) == 0


def test_he_is_normal_with_the_deviation_of_its_fan_in() -> None:
    made = network()
    initialise(made, "he")
    for place, fan_in in ((0, 16 * 9), (3, 400)):
        weight, _ = made[place].parameters()
        deviation = math.sqrt(2 / fan_in)
        assert float(weight.detach().std()) == pytest.approx(deviation, rel=0.03)
        assert float(weight.detach().abs().max()) > 2.5 * deviation


def test_norms_and_recurrent_cells_keep_their_own_and_default_keeps_all() -> None:
    before = network().state_dict()
    made = network()
    initialise(made, "he")
    assert all(
        torch.equal(before[name], value)
        for name, value in made.state_dict().items()
        if name.startswith(("1.", "4."))
    )
    untouched = network()
    initialise(untouched, "default")
    assert all(torch.equal(before[name], value) for name, value in untouched.state_dict().items())


def test_the_three_matrices_of_attention_are_drawn_apart() -> None:
    attention = nn.MultiheadAttention(64, 4)
    initialise(attention, "xavier")
    bound = math.sqrt(6 / 128)  # 64 in and 64 out, not the 192 of the stack
    largest = [float(part.abs().max()) for part in attention.in_proj_weight.data.chunk(3)]
    assert largest == pytest.approx([bound] * 3, rel=0.02)


def test_a_head_tied_to_its_embedding_and_what_was_not_named_are_left_alone() -> None:
    embedding, head, other = nn.Embedding(5, 4), nn.Linear(4, 5), nn.Linear(4, 4)
    head.weight = embedding.weight
    before = [embedding.weight.detach().clone(), other.weight.detach().clone()]
    made = nn.ModuleList((embedding, head, other))
    initialise(made, "xavier")
    assert torch.equal(embedding.weight, before[0])
    assert not torch.equal(other.weight, before[1])
    changed = other.weight.detach().clone()
    initialise(made, "xavier", only=[embedding.weight])
    assert torch.equal(other.weight, changed)
