"""The progress of a training loop: a moving bar on a terminal, about ten short lines elsewhere.

Hooked into Lightning by `training.train`; reads the metrics `train_loss` and `val_loss`.
"""

import math
import time
from typing import Any

import lightning
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from training.report import Reporter

_LOG_LINES = 10  # lines of a whole run where there is no terminal


class ProgressLine(lightning.Callback):
    """One bar over all optimiser steps on a terminal, about ten short lines elsewhere."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._began_s = time.monotonic()
        self._next_line = 0.0

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._began_s = time.monotonic()
        total = int(trainer.estimated_stepping_batches)
        if self._report.is_live:
            columns = (TextColumn("  {task.description}"), BarColumn(30), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._report.console, transient=True)
            self._task = self._bar.add_task("starting", total=total, completed=trainer.global_step)
            self._bar.start()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=trainer.global_step, description=_words(trainer))
            return
        done = trainer.global_step / max(1, int(trainer.estimated_stepping_batches))
        if done >= self._next_line:
            elapsed_s = time.monotonic() - self._began_s
            self._report.line(f"{_words(trainer)}  {elapsed_s:5.1f} s")
            self._next_line = (math.floor(done * _LOG_LINES) + 1) / _LOG_LINES

    def on_train_end(self, *_: Any) -> None:
        self._close()

    def on_exception(self, *_: Any) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _words(trainer: lightning.Trainer) -> str:
    metrics = trainer.callback_metrics
    losses = (
        f"{name.removesuffix('_loss')} loss {float(metrics[name]):.4f}"
        for name in ("train_loss", "val_loss")
        if name in metrics
    )
    total = int(trainer.estimated_stepping_batches)
    step = f"{trainer.global_step:>{len(str(total))}}/{total}"
    epoch = f"{trainer.current_epoch + 1:>{len(str(trainer.max_epochs))}}/{trainer.max_epochs}"
    return "  ".join((f"epoch {epoch}", f"step {step}", *losses))
