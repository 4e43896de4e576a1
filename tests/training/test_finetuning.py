"""Frozen layers stand still for their epochs, then learn; resumed runs know which epoch it is."""

import os
import signal
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn

from models.errors import UsageError
from tests.training.fake_work import FEATURES, FakeModule, FakeWork, fake_config, silent_reporter
from training import train
from training.config import PretrainedConfig, RunConfig
from training.errors import Interrupted
from training.finetuning import layer_groups
from training.runs import RunFolder

STEPS_AN_EPOCH = 8


class TunedConfig(RunConfig):
    pretrained: PretrainedConfig = PretrainedConfig()


class Tuned(nn.Module):
    """A body with a norm, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.fixed = nn.Parameter(torch.ones(8), requires_grad=False)
        self.head = nn.Linear(8, 2)

    def forward(self, points: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(points) * self.fixed)
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [[*self.body.parameters(), self.fixed], list(self.head.parameters())]


class TunedWork(FakeWork):
    """Remembers the network's state in every training step, between its forward and its backward."""

    def __init__(self, frozen_epochs: int, **changes: Any) -> None:
        base = fake_config(**changes).model_dump()
        pretrained = {"frozen_epochs": frozen_epochs}
        super().__init__(TunedConfig.model_validate(base | {"pretrained": pretrained}), None)
        self.states: dict[int, dict[str, Tensor]] = {}
        self.prepare()

    def lightning_module(self) -> FakeModule:
        torch.manual_seed(0)
        module = FakeModule(self.config, lambda _: None)
        network = Tuned()
        module.network = network  # type: ignore[assignment]

        def remember(step: int) -> None:
            state = network.state_dict().items()
            self.states[step] = {name: value.clone() for name, value in state}
            self.on_step(step)

        module.on_step = remember
        return module


def run(work: TunedWork, root: Path, *, resume: bool = False) -> lightning.LightningModule:
    folder = RunFolder(root, "fake")
    folder.path.mkdir(parents=True, exist_ok=True)
    return train.train(work, folder, silent_reporter()[0], resume=resume).module


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    names = {name for name in before if not torch.equal(before[name], after[name])}
    return {name.split(".")[0] for name in names}


def test_the_body_stands_still_for_its_epochs_and_then_learns(tmp_path: Path) -> None:
    work = TunedWork(2, epochs=3, keep="last")
    module = run(work, tmp_path)
    first, last_frozen = work.states[0], work.states[2 * STEPS_AN_EPOCH - 1]
    assert moved(first, last_frozen) == {"head"}  # nor do the running figures of the norm move
    end = module.get_submodule("network").state_dict()
    assert moved(last_frozen, end) == {"head", "body"}


def test_what_was_never_to_be_trained_is_not_trained_after_the_thaw(tmp_path: Path) -> None:
    network = run(TunedWork(1, epochs=2), tmp_path).get_submodule("network")
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    assert frozen == {"fixed"}


def test_a_run_of_frozen_epochs_alone_trains_the_head_alone(tmp_path: Path) -> None:
    work = TunedWork(9, epochs=2, keep="last")
    network = run(work, tmp_path).get_submodule("network")
    assert moved(work.states[0], network.state_dict()) == {"head"}


@pytest.mark.parametrize("stopped_at", [3, STEPS_AN_EPOCH + 3])
def test_a_run_resumed_within_an_epoch_freezes_and_thaws_as_planned(
    tmp_path: Path, stopped_at: int
) -> None:
    work = TunedWork(1, epochs=2, keep="last")
    work.on_step = lambda step: os.kill(os.getpid(), signal.SIGINT) if step == stopped_at else None
    with pytest.raises(Interrupted):
        run(work, tmp_path)
    resumed = TunedWork(1, epochs=2, keep="last")
    end = run(resumed, tmp_path, resume=True).get_submodule("network").state_dict()
    states = work.states | resumed.states
    last_frozen = states[STEPS_AN_EPOCH - 1]
    assert moved(states[0], last_frozen) == {"head"}
    assert moved(last_frozen, end) == {"head", "body"}


@pytest.mark.parametrize(("source", "drawn"), [(None, {"head", "body"}), ("here", {"head"})])
def test_first_weights_are_drawn_for_the_head_alone_where_the_body_came_from_a_checkpoint(
    tmp_path: Path, source: str | None, drawn: set[str]
) -> None:
    work = TunedWork(9, epochs=1, initialisation="xavier")
    pretrained = PretrainedConfig(source=source, frozen_epochs=9)
    work.config = work.config.model_copy(update={"pretrained": pretrained})
    before = work.lightning_module().get_submodule("network").state_dict()
    run(work, tmp_path)
    weights = {name for name in before if "running" not in name and "num_batches" not in name}
    first = {name: work.states[0][name] for name in weights}
    assert moved({name: before[name] for name in weights}, first) == drawn


def test_a_network_without_layers_cannot_be_frozen() -> None:
    with pytest.raises(UsageError, match="frozen_epochs at 0"):
        layer_groups(nn.Linear(2, 2))


def test_a_weight_that_no_group_names_is_counted_to_the_head() -> None:
    class Forgetful(Tuned):
        def layer_groups(self) -> list[list[nn.Parameter]]:
            return [list(self.body.parameters()), list(self.head.parameters())]

    network = Forgetful()
    body, head = layer_groups(network)
    assert len(body) + len(head) == len(list(network.parameters()))
    assert any(weight is network.fixed for weight in head)
