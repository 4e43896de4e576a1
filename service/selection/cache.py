"""What was chosen, remembered in a folder, so that each version is timed once on each kind of machine.

A file per question, named by its hash: what was asked is in the name, in the file and in nothing else, so an
answer to another question is never taken. Files are written whole or not at all, and what cannot be read is
as good as absent. Never cleaned up: an entry is a few hundred bytes.
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.selection.choice import Choice

_log = logging.getLogger("slipway.selection")

_FORMAT = 1
_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Question:
    """`hardware`: the machine's fingerprint. `bundle`: hash of its manifest. `plan`: how threads are
    shared, and the longest time."""

    hardware: str
    bundle: str
    plan: str
    choices: Sequence[Choice]

    def to_json(self) -> dict[str, object]:
        return {
            "format": _FORMAT,
            "hardware": self.hardware,
            "bundle": self.bundle,
            "plan": self.plan,
            "choices": [choice.what.to_json() for choice in self.choices],
        }

    @property
    def name(self) -> str:
        text = json.dumps(self.to_json(), sort_keys=True)
        return f"{hashlib.sha256(text.encode()).hexdigest()}.json"


class SelectionCache:
    """Blocks on the file system: not for the event loop. Several processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser()
        self._has_warned = False

    def get(self, question: Question) -> Choice | None:
        """None for one that was never answered; with a warning for an answer that is damaged."""
        file = self._folder / question.name
        try:
            with file.open("rb") as opened:
                found = json.loads(opened.read(_LIMIT_BYTES))
            if found["question"] != question.to_json():
                raise ValueError("it answers another question")
            choice = Choice.from_json(found["choice"])
            if choice.what not in [each.what for each in question.choices]:
                raise ValueError(f"{choice} is not one of the answers")
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(f"{self._folder} cannot be read: {error.strerror}")
            return None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            _log.warning("selection cache: %s is ignored: %s", file.name, error or "it is damaged")
            return None
        return choice

    def put(self, question: Question, choice: Choice, figures: Mapping[str, object]) -> None:
        """`figures`: what it was decided by, for people. Warns once of a folder that cannot be written."""
        body = {"question": question.to_json(), "choice": choice.to_json(), "figures": figures}
        fresh = ""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, fresh = tempfile.mkstemp(prefix=".", dir=self._folder)
            with os.fdopen(descriptor, "w") as opened:
                json.dump(body, opened, indent=2)
            os.replace(fresh, self._folder / question.name)
        except OSError as error:
            if fresh:
                Path(fresh).unlink(missing_ok=True)
            self._warn(f"{self._folder} cannot be written: {error.strerror}")

    def forget(self, question: Question) -> None:
        """An answer that turned out wrong."""
        try:
            (self._folder / question.name).unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"{self._folder} cannot be written: {error.strerror}")

    def _warn(self, why: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "selection cache: %s; what is chosen is not remembered (--selection-cache names another "
                "folder)",
                why,
            )
