"""Every optimiser and schedule does what its settings say; decay spares biases; layers have their rates."""

import pytest
import torch
from torch import nn

from models.errors import UsageError
from tests.training.fake_work import fake_config
from training.config import OptimConfig, PretrainedConfig
from training.optimizer import configure, learning_rate_factor
from training.settings import with_settings

STEPS = 100


class Layered(nn.Module):
    """Three layers that are told apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(layer.parameters()) for layer in self.layers]


def made(network: nn.Module, **settings: object) -> torch.optim.Optimizer:
    config = OptimConfig.model_validate(settings)
    optimizer = configure(network, config, STEPS)["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    return optimizer


@pytest.mark.parametrize(
    ("schedule", "end"), [("constant", 1.0), ("cosine", 0.1), ("one_cycle", 0.0), ("step", 0.01)]
)
def test_a_schedule_rises_to_one_and_ends_where_it_says(schedule: str, end: float) -> None:
    config = OptimConfig.model_validate({"schedule": schedule, "warmup_fraction": 0.2})
    factors = [learning_rate_factor(config, step, STEPS) for step in range(STEPS + 1)]
    assert factors[0] == pytest.approx(1 / 20)
    assert max(factors) == factors[20] == 1.0
    assert factors[-1] == pytest.approx(end)
    assert factors[20:] == sorted(factors[20:], reverse=True)


def test_without_warm_up_the_first_step_is_full() -> None:
    assert learning_rate_factor(OptimConfig(warmup_fraction=0), 0, STEPS) == 1.0


@pytest.mark.parametrize(("schedule", "last"), [("cosine", 0.1), ("step", 0.01)])
def test_steps_beyond_the_plan_keep_the_last_rate(schedule: str, last: float) -> None:
    config = OptimConfig.model_validate({"schedule": schedule})
    assert learning_rate_factor(config, 10 * STEPS, STEPS) == pytest.approx(last)


def test_the_step_schedule_falls_by_gamma_at_every_fraction_of_what_follows_the_warm_up() -> None:
    config = OptimConfig(schedule="step", warmup_fraction=0.1, step_fraction=0.25, step_gamma=0.5)
    factors = [learning_rate_factor(config, step, 90) for step in range(90)]
    # 9 steps of warm-up; 81 remain, so a fall every 20.
    assert factors[9:29] == [1.0] * 20
    assert factors[29:49] == [0.5] * 20
    assert factors[49:69] == [0.25] * 20
    assert factors[69:89] == [0.125] * 20


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("adamw", torch.optim.AdamW, {"betas": (0.8, 0.99)}),
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.99)}),
        ("sgd", torch.optim.SGD, {"momentum": 0.8, "nesterov": False}),
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0.8, "alpha": 0.99}),
    ],
)
def test_an_optimizer_is_the_one_asked_for_with_its_memories(
    name: str, kind: type, expected: dict[str, object]
) -> None:
    optimizer = made(nn.Linear(2, 2), optimizer=name, momentum=0.8, beta2=0.99)
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert {key: group[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimizer_learns(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    rows = torch.randn(64, 3)
    wanted = rows @ torch.tensor([[1.0], [-2.0], [0.5]])
    plain = {"weight_decay": 0.0, "warmup_fraction": 0.0}
    optimizer = made(network, optimizer=name, learning_rate=0.02, **plain)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (network(rows) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_nesterov_changes_sgds_second_step() -> None:
    ends = []
    for nesterov in (False, True):
        weight = nn.Linear(1, 1, bias=False)
        nn.init.ones_(weight.weight)
        optimizer = made(
            weight,
            optimizer="sgd",
            learning_rate=0.1,
            weight_decay=0.0,
            warmup_fraction=0.0,
            nesterov=nesterov,
        )
        weight.weight.grad = torch.ones(1, 1)
        optimizer.step()
        ends.append(float(weight.weight.detach()))
    assert ends == pytest.approx([0.9, 0.81])


@pytest.mark.parametrize("settings", [(), ("optim.optimizer=sgd", "optim.momentum=0")])
def test_nesterov_without_sgds_momentum_is_refused(settings: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="sgd with momentum"):
        with_settings(fake_config(), (*settings, "optim.nesterov=true"))


def test_decay_is_for_matrices_and_every_weight_is_trained_once() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    optimizer = made(network, weight_decay=0.3)
    groups = {group["weight_decay"]: group["params"] for group in optimizer.param_groups}
    assert all(weight.ndim >= 2 for weight in groups[0.3])
    assert all(weight.ndim < 2 for weight in groups[0.0])
    assert sum(map(len, groups.values())) == len(list(network.parameters()))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_decay_shrinks_matrices_and_nothing_else(name: str) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    nn.init.ones_(network[0].bias)  # type: ignore[arg-type]
    before = [weight.detach().clone() for weight in network.parameters()]
    optimizer = made(network, optimizer=name, weight_decay=0.5, learning_rate=0.01)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for old, weight in zip(before, network.parameters(), strict=True):
        if weight.ndim >= 2:
            assert float(weight.detach().norm()) < float(old.norm())
        else:
            assert torch.equal(weight, old)


def test_lower_layers_take_smaller_steps_by_the_decay() -> None:
    network = Layered()
    config, decay = OptimConfig(learning_rate=0.1), PretrainedConfig(layer_decay=0.5)
    answer = configure(network, config, STEPS, decay)
    optimizer = answer["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    rates = {
        id(weight): group["initial_lr"]
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    for layer, rate in zip(network.layers, (0.025, 0.05, 0.1), strict=True):
        assert {rates[id(weight)] for weight in layer.parameters()} == {rate}


def test_without_layer_decay_no_layers_are_needed_and_with_it_they_are() -> None:
    plain = nn.Linear(2, 2)
    configure(plain, OptimConfig(), STEPS, PretrainedConfig())
    with pytest.raises(UsageError, match="does not tell its layers apart"):
        configure(plain, OptimConfig(), STEPS, PretrainedConfig(layer_decay=0.5))
