"""What is hooked into Lightning's loop: checkpoints, loss history, Ctrl-C.

Used by `training.train` alone. Checkpoints are written to a new file and renamed, so an interrupted
write leaves the previous one. Where several processes train, they decide together when to save and stop,
since a checkpoint waits for all of them; the first one writes.
"""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch

from training.errors import Interrupted, TrainingFailed
from training.runs import RunFolder

History = dict[str, list[tuple[int, float]]]

_SAVE_EVERY_S = 30.0  # work lost at most when the machine dies in the middle of an epoch
_CURVE_POINTS = 400


class Keeper(lightning.Callback):
    """Keeps what a run must not lose: the last state, the best weights, the losses."""

    def __init__(self, folder: RunFolder, resume_command: str) -> None:
        self._folder = folder
        self._resume_command = resume_command
        self._saved_at_s = time.monotonic()
        self._stop_asked = threading.Event()
        self._seen_step = 0
        self.best_loss = math.inf
        self.history: History = {"train loss": [], "validation loss": []}

    def state_dict(self) -> dict[str, Any]:
        return {"best_loss": self.best_loss, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_loss, self.history = state_dict["best_loss"], state_dict["history"]

    @contextmanager
    def stopping_on_ctrl_c(self) -> Iterator[None]:
        """The first Ctrl-C ends the run after the current step, with a checkpoint; the second at once.

        Lightning's own way saves in the middle of a step and leaves with exit code 1.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may take signals; its owner stops the run some other way
            return

        def ask(number: int, _: FrameType | None) -> None:
            self._stop_asked.set()
            signal.signal(number, previous)

        previous = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._seen_step = trainer.global_step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        step = trainer.global_step
        if step == self._seen_step:  # gradients are being accumulated, which no checkpoint keeps
            return
        self._seen_step = step
        every = max(1, int(trainer.estimated_stepping_batches) // _CURVE_POINTS)
        if step % every == 0:
            loss = float(trainer.callback_metrics["train_loss"])
            if not math.isfinite(loss):
                raise TrainingFailed(
                    f"the training loss is {loss} at step {step}: "
                    "lower optim.learning_rate (--set), or look at the data"
                )
            self.history["train loss"].append((step, loss))
        is_overdue = time.monotonic() - self._saved_at_s > _SAVE_EVERY_S
        if _any_process(trainer, self._stop_asked.is_set()):
            self._save_last(trainer)
            raise Interrupted(f"stopped at step {step}; go on with: {self._resume_command}")
        if _any_process(trainer, is_overdue):
            self._save_last(trainer)

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        loss = float(trainer.callback_metrics["val_loss"])
        self.history["validation loss"].append((trainer.global_step, loss))
        if loss < self.best_loss:
            self.best_loss = loss
            if trainer.is_global_zero:
                _write_whole(self._folder.best, pl_module.state_dict())

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._save_last(trainer)

    def _save_last(self, trainer: lightning.Trainer) -> None:
        fresh = self._folder.last.with_suffix(".new")
        trainer.save_checkpoint(fresh)
        if trainer.is_global_zero:
            os.replace(fresh, self._folder.last)
        self._saved_at_s = time.monotonic()


def _any_process(trainer: lightning.Trainer, mine: bool) -> bool:
    """What at least one process says; costs a message between them, where there are several."""
    if trainer.world_size == 1:
        return mine
    return bool(trainer.strategy.reduce_boolean_decision(mine, all=False))


def _write_whole(path: Path, state: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    torch.save(state, fresh)
    os.replace(fresh, path)
