"""A run stops where validation no longer improves, and a stopped run stays stopped."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from tests.training.fake_work import FakeWork, fake_config, silent_reporter
from training import train
from training.data.loaders import array_loader
from training.errors import Interrupted
from training.runs import RunFolder
from training.train import Trained


class Unlearning(FakeWork):
    """Validated on the opposite labels: the first epoch is the best."""

    def val_loader(self) -> DataLoader[Any]:
        return array_loader(self.rows, 1 - self.labels, batch_size=64, shuffle=False)


def run(root: Path, work: FakeWork, *, resume: bool = False) -> tuple[Trained, str]:
    work.prepare()
    folder = RunFolder(root, "fake")
    folder.path.mkdir(parents=True, exist_ok=True)
    report, text = silent_reporter()
    return train.train(work, folder, report, resume=resume), text.getvalue()


def epochs_of(trained: Trained) -> int:
    return len(trained.history["validation loss"])


@pytest.mark.parametrize("patience", [1, 3])
def test_a_run_stops_after_so_many_epochs_without_a_lower_loss(
    tmp_path: Path, patience: int
) -> None:
    work = Unlearning(fake_config(epochs=9, patience_epochs=patience), None)
    trained, text = run(tmp_path, work)
    assert epochs_of(trained) == 1 + patience
    assert f"in {patience} epochs" in text


def test_without_patience_and_while_it_improves_no_run_stops(tmp_path: Path) -> None:
    assert epochs_of(run(tmp_path / "a", Unlearning(fake_config(epochs=4), None))[0]) == 4
    improving = FakeWork(fake_config(epochs=4, patience_epochs=1), None)
    assert epochs_of(run(tmp_path / "b", improving)[0]) == 4


def test_a_stopped_run_resumes_straight_to_its_result(tmp_path: Path) -> None:
    config = fake_config(epochs=9, patience_epochs=2)
    first, _ = run(tmp_path, Unlearning(config, None))
    again, _ = run(tmp_path, Unlearning(config, None), resume=True)
    assert again.history == first.history


def test_an_interrupted_run_stops_where_the_whole_one_would_have(tmp_path: Path) -> None:
    config = fake_config(epochs=9, patience_epochs=3)
    work = Unlearning(config, None)
    work.on_step = lambda step: os.kill(os.getpid(), signal.SIGINT) if step == 20 else None
    with pytest.raises(Interrupted):
        run(tmp_path, work)
    resumed, _ = run(tmp_path, Unlearning(config, None), resume=True)
    assert epochs_of(resumed) == 4
