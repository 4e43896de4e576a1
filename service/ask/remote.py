"""Ask a running server over HTTP, through the typed endpoint that everybody else uses."""

import urllib.parse
from collections.abc import Callable

import orjson

from service.ask.call import base_of, call
from service.ask.question import Question
from service.ask.reply import Reply
from service.tasks import plugin
from service.tasks.base import ServiceTask


def ask_remote(
    url: str, name: str, version: int | None, read: Callable[[type[ServiceTask]], Question]
) -> Reply:
    """`read` gets the kind of task and gives the question. Raises UsageError or RemoteRefused."""
    base = base_of(url)
    described, _ = call(f"{base}/v1/models/{urllib.parse.quote(name, safe='')}")
    task = plugin(str(described.get("task")))
    question = read(task)
    path = f"/v1/models/{urllib.parse.quote(name, safe='')}"
    path += f"/versions/{version}" if version is not None else ""
    body, took_ms = call(f"{base}{path}/predict{query_of(question)}", *body_of(question, task))
    return Reply(task.name, body, took_ms)


def query_of(question: Question) -> str:
    if question.data is None or not question.options:
        return ""
    return "?" + urllib.parse.urlencode(dict(question.options), doseq=True)


def body_of(question: Question, task: type[ServiceTask]) -> tuple[bytes, str]:
    if question.data is None:
        return orjson.dumps({task.field: question.value, **question.options}), "application/json"
    is_text = "text/plain" in task.media_types
    return question.data, "text/plain" if is_text else "application/octet-stream"
