"""Every fold is trained once, whatever interrupts it, and the mean and deviation are those of the folds."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import UsageError
from tests.training.fake_work import FakeWork, fake_config, prepared, silent_reporter
from training.cross_validate import cross_validate, require_folds
from training.data.folds import stratified_folds
from training.errors import Interrupted
from training.runs import RunFolder, SavedRun


class FoldedWork(FakeWork):
    """Judged on its fold; counts the trainings, and may be interrupted in one of them."""

    trained: list[int]
    interrupt_at: tuple[int, int] = (-1, -1)  # fold, step

    def fold(self, number: int, count: int) -> "FoldedWork":
        held_out = stratified_folds(self.labels, count, 0)[number]
        fold = FoldedWork(self.config, None)
        fold.rows, fold.labels = self.rows[held_out], self.labels[held_out]
        fold.train_loader = self.train_loader  # type: ignore[method-assign]

        def on_step(step: int) -> None:
            if step == 0:
                self.trained.append(number)
            if (number, step) == self.interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)

        fold.on_step = on_step
        return fold


def work_of(**changes: Any) -> FoldedWork:
    work = FoldedWork(fake_config(folds=3, **changes), None)
    work.prepare()
    work.trained = []
    return work


def folder_in(root: Path) -> RunFolder:
    folder = RunFolder(root, "fake")
    folder.path.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_table_and_the_figures_are_those_of_the_folds(tmp_path: Path) -> None:
    report, text = silent_reporter()
    work = work_of()
    mean, deviation = cross_validate(work, folder_in(tmp_path), report, "--resume")
    assert work.trained == [0, 1, 2]
    lines = [line.split() for line in text.getvalue().splitlines()]
    values = [float(line[1]) for line in lines if line[:1] in (["1"], ["2"], ["3"])]
    assert len(values) == 3
    assert mean.metric == "accuracy-mean-of-folds"
    assert mean.value == pytest.approx(np.mean(values), abs=1e-4)
    assert deviation.value == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert mean.samples == 128
    assert f"{mean.value:.4f} ± {deviation.value:.4f}" in text.getvalue()


def test_an_interrupted_cross_validation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    first = work_of()
    first.interrupt_at = (1, 5)
    with pytest.raises(Interrupted, match="step 6"):
        cross_validate(first, folder, silent_reporter()[0], "--resume")
    second = work_of()
    figures = cross_validate(second, folder, silent_reporter()[0], "--resume")
    assert first.trained == [0, 1]
    assert second.trained == [2]  # the first is known, the second goes on from its sixth step
    whole = cross_validate(work_of(), folder_in(tmp_path / "whole"), silent_reporter()[0], "")
    assert figures[0].samples == whole[0].samples
    assert figures[0].value == pytest.approx(whole[0].value, abs=0.05)


def test_finished_folds_are_not_trained_again_unless_the_run_becomes_longer(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    first = cross_validate(work_of(), folder, silent_reporter()[0], "")
    again, longer = work_of(), work_of(epochs=3)
    assert cross_validate(again, folder, silent_reporter()[0], "") == first
    assert again.trained == []
    cross_validate(longer, folder, silent_reporter()[0], "")
    assert longer.trained == [0, 1, 2]
    assert not list(folder.path.glob("folds/*/*.ckpt"))


def test_a_new_run_forgets_the_folds_of_the_old_one(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    cross_validate(work_of(), folder, silent_reporter()[0], "")
    folder.begin(SavedRun({}, None, ""))
    work = work_of()
    cross_validate(work, folder, silent_reporter()[0], "")
    assert work.trained == [0, 1, 2]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    place = folder.fold(1)
    place.path.mkdir(parents=True)
    (place.path / "fold.json").write_text("{")
    with pytest.raises(UsageError, match=r"fold\.json is damaged"):
        cross_validate(work_of(), folder, silent_reporter()[0], "")


def test_work_without_folds_says_so_before_any_training() -> None:
    with pytest.raises(UsageError, match="cannot be cross-validated"):
        require_folds(prepared(folds=3))
    require_folds(prepared())
    require_folds(work_of())
