"""Dropout drops its share, keeps the mean, and is torch's wherever it has no reason to differ."""

import pytest
import torch
from torch import nn

from training.networks.dropout import Dropout, quicken_dropout


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_drops_its_share_and_keeps_the_mean(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    given = torch.ones(1001, 101, dtype=dtype)  # not a multiple of eight
    answer = Dropout(share)(given)
    assert answer.dtype == dtype
    assert abs(float((answer == 0).float().mean()) - share) < 0.005
    assert abs(float(answer.float().mean()) - 1) < 0.02
    assert len(answer.unique()) == 2


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(200_000)) > 0).float() - 0.5
    for distance in range(1, 9):
        assert abs(float((kept[:-distance] * kept[distance:]).mean())) < 0.003


def test_the_gradient_flows_where_the_answer_does() -> None:
    torch.manual_seed(0)
    given = torch.randn(64, 9, requires_grad=True)
    answer = Dropout(0.3)(given)
    answer.sum().backward()
    assert given.grad is not None
    assert torch.equal(given.grad == 0, answer == 0)


def test_the_same_seed_drops_the_same() -> None:
    answers = []
    for _ in range(2):
        torch.manual_seed(3)
        answers.append(Dropout(0.4)(torch.ones(33)))
    assert torch.equal(*answers)


def test_nothing_is_dropped_when_it_is_asked_or_does_not_learn() -> None:
    given = torch.randn(5, 5)
    assert torch.equal(Dropout(0.5).eval()(given), given)
    assert torch.equal(Dropout(0.0)(given), given)
    assert not Dropout(1.0)(given).any()


def test_it_takes_the_place_of_torchs_in_a_network() -> None:
    network = nn.Sequential(
        nn.Linear(2, 2), nn.ModuleDict({"inner": nn.Dropout(0.25)}), nn.Dropout2d(0.5)
    )
    quicken_dropout(network)
    found = [type(part) for part in network.modules()]
    assert found.count(Dropout) == 1
    assert nn.Dropout not in found
    assert nn.Dropout2d in found
    assert next(part.p for part in network.modules() if isinstance(part, Dropout)) == 0.25
