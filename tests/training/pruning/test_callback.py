"""What was taken stays away, also after many more steps, and after a resumed run."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from tests.training.fake_work import FakeWork, fake_config, silent_reporter
from training import train
from training.config import RunConfig
from training.pruning.callback import Pruning, wanted_amount
from training.pruning.settings import PruningConfig
from training.runs import RunFolder


class PrunedConfig(RunConfig):
    pruning: PruningConfig = PruningConfig()


def trained(folder: Path, **pruning: object) -> tuple[train.Trained, str]:
    base = fake_config(epochs=6, keep="last").model_dump()
    config = PrunedConfig.model_validate(base | {"pruning": pruning})
    work = FakeWork(config, None)
    work.prepare()
    report, text = silent_reporter()
    train.seed_everything(0)
    run = RunFolder(folder, "run")
    run.path.mkdir(parents=True)
    return train.train(work, run, report, resume=False), text.getvalue()


def test_single_weights_stay_zero_through_the_steps_that_follow(tmp_path: Path) -> None:
    result, text = trained(tmp_path, amount=0.5, kind="unstructured", begin=0.2, end=0.5)
    network = result.module.get_submodule("network")
    weights = torch.cat([network[0].weight.flatten(), network[2].weight.flatten()])  # type: ignore[index]
    assert int((weights == 0).sum()) == len(weights) // 2
    assert "pruned: 50% of the weights" in text


def test_whole_channels_stay_zero_through_the_steps_that_follow(tmp_path: Path) -> None:
    result, text = trained(tmp_path, amount=0.5, begin=0.3)
    first = result.module.get_submodule("network.0")
    rows = first.weight.abs().sum(dim=1)  # type: ignore[operator]
    assert int((rows == 0).sum()) == 4
    assert int((first.bias[rows == 0] == 0).sum()) == 4  # type: ignore[index]
    assert "pruned: 50% of the channels" in text


def test_nothing_is_taken_by_default(tmp_path: Path) -> None:
    result, text = trained(tmp_path)
    assert "pruned" not in text
    assert result.module.get_submodule("network.0").weight.all()  # type: ignore[operator]


def test_a_resumed_run_goes_on_with_the_masks_of_its_checkpoint() -> None:
    config, report = PruningConfig(amount=0.5), silent_reporter()[0]
    first, second = Pruning(config, report), Pruning(config, report)
    first._masks, first._amount = {"0.weight": torch.tensor([True, False])}, 0.5
    second.load_state_dict(first.state_dict())
    assert second._amount == 0.5
    assert second._masks["0.weight"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("kind", "done", "amount"),
    [
        ("structured", 0.39, 0.0),
        ("structured", 0.4, 0.8),
        ("unstructured", 0.39, 0.0),
        ("unstructured", 0.55, 0.8 * (1 - 0.5**3)),
        ("unstructured", 0.7, 0.8),
        ("unstructured", 1.0, 0.8),
    ],
)
def test_channels_go_at_once_and_weights_along_a_cubic(
    kind: str, done: float, amount: float
) -> None:
    config = PruningConfig.model_validate({"amount": 0.8, "kind": kind})
    assert wanted_amount(config, done) == pytest.approx(amount)


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be later than"):
        PruningConfig(amount=0.5, kind="unstructured", begin=0.5, end=0.5)
