"""A run's folder, `runs/<name>/`: what `--resume` needs, and where the bundle is put together.

    run.json       the configuration, the data and its hash
    last.ckpt      everything needed to go on (written whole or not at all)
    best.pt        weights with the least validation loss so far
    staged/        the files of the bundle before they are published
    folds/N/       the same for every fold of a cross-validation, where there is one

One run at a time owns a folder: the kernel releases the lock when its owner dies.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import UsageError


@dataclass(frozen=True)
class SavedRun:
    """What `run.json` holds."""

    config: dict[str, Any]
    data: str | None
    data_sha256: str


class RunFolder:
    """Paths and records of one run. Created on first write."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / name
        self.last = self.path / "last.ckpt"
        self.best = self.path / "best.pt"
        self.staged = self.path / "staged"
        self._record = self.path / "run.json"

    def fold(self, number: int) -> "RunFolder":
        """The folder of one fold, inside this one and owned with it."""
        return RunFolder(self.path / "folds", str(number))

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the folder. Raises UsageError when another run does, or when it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UsageError(
                f"another run is using {self.path}: wait for it, or choose another --name"
            ) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def begin(self, saved: SavedRun) -> None:
        """Forget an earlier run of this name and record the new one."""
        self.last.unlink(missing_ok=True)
        self.best.unlink(missing_ok=True)
        shutil.rmtree(self.path / "folds", ignore_errors=True)
        self.clear_staged()
        self.record(saved)

    def record(self, saved: SavedRun) -> None:
        fresh = self._record.with_suffix(".new")
        fresh.write_text(json.dumps(vars(saved), indent=2, sort_keys=True) + "\n")
        os.replace(fresh, self._record)

    def saved(self) -> SavedRun:
        """The run to go on with. Raises UsageError when there is none."""
        if not self._record.is_file() or not self.last.is_file():
            raise UsageError(
                f"nothing to resume in {self.path}: start the run without --resume "
                "(or give its --name)"
            )
        try:
            return SavedRun(**json.loads(self._record.read_text()))
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{self._record} is damaged ({error}): start the run without --resume"
            ) from error

    def clear_staged(self) -> None:
        shutil.rmtree(self.staged, ignore_errors=True)
        self.staged.mkdir(parents=True)
