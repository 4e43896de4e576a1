"""Members beside the tensors: what is reserved does what it says or is refused; a caller's own is ignored."""

from typing import Any

import orjson
import pytest

from service.errors import BadRequest
from service.protocol.messages import InferRequest
from tests.service.protocol.exchange import codec

TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}


def decoded(**members: Any) -> InferRequest:
    return codec().decode(orjson.dumps({"inputs": [TENSOR]} | members))


def test_a_plain_request_has_no_wishes() -> None:
    for request in (
        decoded(),
        decoded(parameters={}, outputs=[]),
        decoded(parameters=None, outputs=None, id=None),
        decoded(parameters={"timeout": None, "priority": None, "binary_data_output": None}),
        decoded(outputs=[{"name": "y", "parameters": {"binary_data": None, "mine": None}}]),
        decoded(inputs=[TENSOR | {"parameters": {"content_type": None, "binary_data_size": None}}]),
        decoded(parameters={"timeout": 0, "priority": 0, "sequence_id": 0}),
    ):
        assert (request.timeout_s, request.priority, request.ident) == (None, 0, None)
        assert [(o.name, o.is_binary, o.classification) for o in request.outputs] == [
            ("y", False, 0)
        ]


def test_the_callers_timeout_is_in_microseconds() -> None:
    request = decoded(parameters={"timeout": 250_000, "priority": 2})
    assert (request.timeout_s, request.priority) == (0.25, 2)


def test_what_is_not_reserved_is_ignored() -> None:
    mine = {"tenant": "a", "score": 0.5, "is_test": True, "headers": "x"}
    assert decoded(parameters=mine, model_name="other").priority == 0
    tensor = TENSOR | {"parameters": {"content_type": "np"}}
    assert codec().decode(orjson.dumps({"inputs": [tensor]})).rows == 1


@pytest.mark.parametrize(
    "change",
    [
        {"id": 7},
        {"parameters": []},
        {"parameters": {"timeout": -1}},
        {"parameters": {"timeout": True}},
        {"parameters": {"timeout": 1.5}},
        {"parameters": {"timeout": "1"}},
        {"parameters": {"timeout": 2**63}},
        {"parameters": {"priority": -1}},
        {"parameters": {"priority": 2**32}},
        {"parameters": {"priority": True}},
        {"parameters": {"binary_data_output": 1}},
        {"parameters": {"sequence_id": 7}},
        {"parameters": {"sequence_id": "a"}},
        {"parameters": {"sequence_start": True}},
        {"parameters": {"sequence_end": True}},
        {"parameters": {"triton_enable_empty_final_response": True}},
        {"parameters": {"mine": {}}},
        {"parameters": {"mine": [1]}},
        {"outputs": {"name": "y"}},
        {"outputs": {}},
        {"outputs": "y"},
        {"outputs": ["y"]},
        {"outputs": [{}]},
        {"outputs": [{"name": ["y"]}]},
        {"outputs": [{"name": "q"}]},
        {"outputs": [{"name": "y"}, {"name": "y"}]},
        {"outputs": [{"name": "y"}] * 5000},
        {"outputs": [{"name": "y", "parameters": 1}]},
        {"outputs": [{"name": "y", "parameters": {"binary_data": 1}}]},
        {"outputs": [{"name": "y", "parameters": {"classification": -1}}]},
        {"outputs": [{"name": "y", "parameters": {"classification": True}}]},
        {"outputs": [{"name": "y", "parameters": {"classification": "3"}}]},
        {"outputs": [{"name": "y", "parameters": {"classification": 2**40}}]},
        {"outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": [1]},
        {"inputs": [TENSOR | {"parameters": {"mine": []}}]},
    ],
    ids=lambda change: str(change)[:80],
)
def test_a_wrong_member_is_a_400(change: dict[str, object]) -> None:
    with pytest.raises(BadRequest) as refusal:
        decoded(**change)
    assert refusal.value.status == 400
    assert len(refusal.value.message) < 300


def test_a_stateful_sequence_is_refused_with_the_reason() -> None:
    with pytest.raises(BadRequest, match="no state"):
        decoded(parameters={"sequence_id": 3, "sequence_start": True, "sequence_end": False})
