"""Checkpoints imported and asked in this process, and the library asked from the same folder."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from service.ask.local import ask_local
from service.ask.question import Question
from tests.training.fake_work import silent_reporter
from training.checkpoints import quiet_transformers
from training.importing.importer import Request, import_checkpoint


def imported(folder: Path, **request: Any) -> Bundle:
    """Published beside the checkpoint."""
    repository = folder.parent / "repository"
    with silenced():
        return import_checkpoint(Request(str(folder), repository, **request), silent_reporter()[0])


def ask(bundle: Bundle, value: object, options: Mapping[str, object] | None = None) -> Any:
    """The service's answer to one instance; bytes are an encoded picture."""
    data = value if isinstance(value, bytes) else None
    question = Question(options or {}, data=data, value=None if data else value)
    return ask_local(bundle, lambda _: question).body["predictions"][0]


def library(task: str, folder: Path, **parts: Any) -> Any:
    """The pipeline, read from disk anew."""
    import transformers

    with silenced():
        return transformers.pipeline(task, model=str(folder), device="cpu", **parts)


@contextmanager
def silenced() -> Iterator[None]:
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
