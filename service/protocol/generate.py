"""Triton's generate extension on the wire: members of the request, and its answer.

Source: Triton's protocol extension "generate" (provisional): `text_input` in, `text_output` out, other
members are parameters whether they stand in `parameters` or beside.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from service.errors import BadRequest
from service.intake import Intake
from service.terms import take_priority, take_timeout_s


class GenerateRequest(BaseModel):
    text_input: str = Field(description="text to continue")
    id: str | None = Field(default=None, description="comes back in the answer")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="max_tokens, temperature, stop and the other options of the typed route; "
        "`timeout` (microseconds), `priority`, `exclude_input_in_output` (true)",
    )


class GenerateAnswer(BaseModel):
    id: str | None = None
    model_name: str
    model_version: str
    text_output: str
    finish_reason: str | None = None


@dataclass(frozen=True)
class GenerateCall:
    """`intake`: the text and its options. `echo`: what the answer begins with."""

    id: str | None
    intake: Intake
    echo: str


def read_generate(document: object) -> GenerateCall:
    """Raises BadRequest."""
    if not isinstance(document, dict) or not isinstance(document.get("text_input"), str):
        raise BadRequest('send {"text_input": "…", "parameters": {…}}')
    members = dict(document)
    text, given_id = members.pop("text_input"), members.pop("id", None)
    given = members.pop("parameters", None) or {}
    if not isinstance(given, dict):
        raise BadRequest('"parameters" must be an object')
    if given_id is not None and not isinstance(given_id, str):
        raise BadRequest('"id" must be text')
    parameters = {**members, **given}
    parameters.pop("stream", None)  # the path says it
    excludes = parameters.pop("exclude_input_in_output", True)
    if not isinstance(excludes, bool):
        raise BadRequest("exclude_input_in_output must be true or false")
    timeout_s, priority = take_timeout_s(parameters), take_priority(parameters)
    options = {name: value for name, value in parameters.items() if value is not None}
    return GenerateCall(
        given_id, Intake([text], options, timeout_s, priority), "" if excludes else text
    )


def answer(
    call: GenerateCall, name: str, version: int, text: str, reason: str | None
) -> dict[str, Any]:
    document: dict[str, Any] = {} if call.id is None else {"id": call.id}
    document |= {"model_name": name, "model_version": str(version), "text_output": text}
    return document if reason is None else document | {"finish_reason": reason}
