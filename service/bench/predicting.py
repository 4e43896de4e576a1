"""Requests to models that predict: the typed endpoint, asked as `slipway predict --url` asks it."""

import itertools
import urllib.parse
from collections.abc import Iterator, Sequence

from service.ask.question import read_question
from service.ask.remote import body_of, query_of
from service.bench.target import Target
from service.tasks import plugin


def predictions(target: Target, model: str, inputs: Sequence[str]) -> Iterator[bytes]:
    """Whole HTTP messages, endless, the inputs in turn. Raises UsageError, and RemoteRefused with the
    server's words when it does not know the model."""
    path = f"/v1/models/{urllib.parse.quote(model, safe='')}"
    task = plugin(str(target.ask(path).get("task")))
    questions = [read_question(typed, task, {}) for typed in inputs]
    return itertools.cycle(
        target.post(f"{path}/predict{query_of(question)}", *body_of(question, task))
        for question in questions
    )
