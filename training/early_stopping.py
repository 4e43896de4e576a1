"""Early stopping: the loop ends where the validation loss has not fallen for some epochs.

Hooked into Lightning by `training.train` where `patience_epochs` asks for it. Its count is part of the
checkpoint, so a resumed run stops where the uninterrupted one would have, and a run that has stopped
stays stopped.
"""

import math
from typing import Any

import lightning

from training.report import Reporter


class PatientStop(lightning.Callback):
    """Stops after `patience_epochs` epochs in a row without a new least `val_loss`."""

    def __init__(self, patience_epochs: int, report: Reporter) -> None:
        self._patience_epochs = patience_epochs
        self._report = report
        self.least_loss = math.inf
        self.epochs_since = 0

    def state_dict(self) -> dict[str, Any]:
        return {"least_loss": self.least_loss, "epochs_since": self.epochs_since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.least_loss = state_dict["least_loss"]
        self.epochs_since = state_dict["epochs_since"]

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._stop_when_due(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        loss = trainer.callback_metrics.get("val_loss")
        if loss is None:
            return
        self.epochs_since = 0 if float(loss) < self.least_loss else self.epochs_since + 1
        self.least_loss = min(self.least_loss, float(loss))
        self._stop_when_due(trainer)

    def _stop_when_due(self, trainer: lightning.Trainer) -> None:
        if self.epochs_since < self._patience_epochs or trainer.should_stop:
            return
        trainer.should_stop = True
        self._report.line(
            f"stopped early: no lower validation loss than {self.least_loss:.4f} in "
            f"{self.epochs_since} epochs"
        )
