"""kserve.InferenceRESTClient as people install it, with both protocols."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from models.datatypes import DataType, TypeInfo
from tests.conformance.models import IDENTITIES
from tests.conformance.test_tritonclient import sample, text
from tests.service.conftest import ServerProcess
from tests.service.loops import in_loop

# Of these the client knows no numpy type, or sends none in JSON.
UNKNOWN = {DataType.BFLOAT16}
NOT_IN_JSON = {DataType.FLOAT16}


def ask(
    server: ServerProcess,
    protocol: str,
    question: Callable[[InferenceRESTClient], Awaitable[Any]],
) -> Any:
    answer = None

    @in_loop
    async def run() -> None:
        nonlocal answer
        async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
            answer = await question(client)

    run()
    return answer


def request(name: str, *inputs: InferInput, **more: Any) -> InferRequest:
    return InferRequest(model_name=name, infer_inputs=list(inputs), **more)


FORMS = [
    (name, info, is_binary)
    for name, info in IDENTITIES.items()
    for is_binary in (True, False)
    if info.onnx not in UNKNOWN and (is_binary or info.onnx not in NOT_IN_JSON)
]


@pytest.mark.parametrize(
    ("name", "info", "is_binary"), FORMS, ids=[f"{n}-{'jb'[b]}" for n, _, b in FORMS]
)
def test_v2_every_datatype_comes_back_as_it_was_sent(
    served: ServerProcess, name: str, info: TypeInfo, is_binary: bool
) -> None:
    sent = sample(info)
    tensor = InferInput("x", list(sent.shape), info.v2)
    tensor.set_data_from_numpy(sent, binary_data=is_binary)
    more: dict[str, Any] = {"parameters": {"binary_data_output": is_binary}}
    answer = ask(served, "v2", lambda it: it.infer(served.url, request(name, tensor, **more), name))
    (output,) = answer.outputs
    assert (output.name, output.datatype, output.shape) == ("y", info.v2, [2, 2])
    assert text(output.as_numpy()) == text(sent)


def test_v2_wanted_outputs_id_and_mixed_forms(served: ServerProcess) -> None:
    a, b = np.full((2, 4), 9, np.int32), np.ones((2, 4), np.int32)
    first, second = InferInput("a", [2, 4], "INT32"), InferInput("b", [2, 4], "INT32")
    first.set_data_from_numpy(a, binary_data=True)
    second.set_data_from_numpy(b, binary_data=False)
    wanted = [
        RequestedOutput("diff", {"binary_data": True}),
        RequestedOutput("sum", {"binary_data": False}),
    ]
    asked = request("add-sub", second, first, request_id="id-1", request_outputs=wanted)
    answer = ask(served, "v2", lambda it: it.infer(served.url, asked, "add-sub"))
    assert answer.id == "id-1"
    assert answer.model_name == "add-sub"
    assert [output.name for output in answer.outputs] == ["diff", "sum"]
    assert answer.outputs[0].as_numpy().tolist() == (a - b).tolist()
    assert answer.outputs[1].as_numpy().tolist() == (a + b).tolist()


def test_v2_a_request_written_as_a_dictionary(served: ServerProcess) -> None:
    body = {
        "inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [[1, 2, 3, 4]] * 2}]
    }
    answer = ask(served, "v2", lambda it: it.infer(served.url, body, "double"))
    assert answer.outputs[0].as_numpy().tolist() == [[2, 4, 6, 8]] * 2


def test_v2_probes(served: ServerProcess) -> None:
    assert ask(served, "v2", lambda it: it.is_server_live(served.url)) is True
    assert ask(served, "v2", lambda it: it.is_server_ready(served.url)) is True
    assert ask(served, "v2", lambda it: it.is_model_ready(served.url, "double")) is True
    assert ask(served, "v2", lambda it: it.is_model_ready(served.url, "nobody")) is False


def test_v1_probes(served: ServerProcess) -> None:
    assert ask(served, "v1", lambda it: it.is_server_live(served.url)) is True
    assert ask(served, "v1", lambda it: it.is_model_ready(served.url, "double")) is True
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        ask(served, "v1", lambda it: it.is_model_ready(served.url, "nobody"))


def test_v1_rows_and_columns(served: ServerProcess) -> None:
    rows = [[1, 2, 3, 4], [5, 6, 7, 8]]
    doubled = [[2, 4, 6, 8], [10, 12, 14, 16]]
    for body, wanted in (
        ({"instances": rows}, {"predictions": doubled}),
        ({"instances": [{"x": row} for row in rows]}, {"predictions": doubled}),
        ({"inputs": rows}, {"outputs": doubled}),
        ({"inputs": {"x": rows}}, {"outputs": doubled}),
    ):
        answer = ask(served, "v1", lambda it, body=body: it.infer(served.url, body, "double"))
        assert {name: answer[name] for name in wanted} == wanted


def test_v1_several_inputs_and_outputs(served: ServerProcess) -> None:
    a, b = [[9, 9, 9, 9]] * 2, [[1, 2, 3, 4]] * 2
    items = [{"a": x, "b": y} for x, y in zip(a, b, strict=True)]
    one = {"sum": [10, 11, 12, 13], "diff": [8, 7, 6, 5]}
    answer = ask(served, "v1", lambda it: it.infer(served.url, {"instances": items}, "add-sub"))
    assert answer["predictions"] == [one, one]
    columns = {"inputs": {"a": a, "b": b}}
    answer = ask(served, "v1", lambda it: it.infer(served.url, columns, "add-sub"))
    assert answer["outputs"] == {name: [values] * 2 for name, values in one.items()}


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_errors_reach_the_caller_with_status_and_words(
    served: ServerProcess, protocol: str
) -> None:
    body = {"instances": [[1, 2]]}
    if protocol == "v2":
        body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    with pytest.raises(httpx.HTTPStatusError, match="'x'") as refusal:
        ask(served, protocol, lambda it: it.infer(served.url, body, "double"))
    assert refusal.value.response.status_code == 400
    with pytest.raises(httpx.HTTPStatusError, match="there is no model 'nobody'"):
        ask(served, protocol, lambda it: it.infer(served.url, body, "nobody"))


def test_v1_explain_is_said_not_to_be_offered(served: ServerProcess) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="explain") as refusal:
        ask(served, "v1", lambda it: it.explain(served.url, "double", {"instances": [[1]]}))
    assert refusal.value.response.status_code == 501
