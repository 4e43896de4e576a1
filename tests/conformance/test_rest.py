"""The protocol without a client: what its specification promises, and what rude callers have sent to others.

Every refusal is `{"error": text}` with a 4xx, on a connection that goes on working.
"""

import json
import re
from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.conftest import ServerProcess

DOUBLE = "/v2/models/double/infer"
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
SECRETS = re.compile(r"(/root|/tmp|/work|0x[0-9a-f]{6,}|Traceback|site-packages)")


def refused(response: httpx.Response, *statuses: int) -> str:
    assert response.status_code in (statuses or (400,)), response.text
    message = response.json()["error"]
    assert isinstance(message, str)
    assert 0 < len(message) < 500
    assert not SECRETS.search(response.text)
    return message


# -- what the specification says ------------------------------------------------------------------


def test_server_and_model_metadata(http: httpx.Client) -> None:
    server = http.get("/v2").json()
    assert {"name", "version", "extensions"} <= server.keys()
    model = http.get("/v2/models/add-sub").json()
    assert {"name", "platform", "versions", "inputs", "outputs"} <= model.keys()
    assert model["inputs"][0] == {"name": "a", "datatype": "INT32", "shape": [-1, 4]}
    assert http.get("/v2/models/add-sub/versions/1").json() == model
    assert "add-sub" in http.get("/v2/models").json()["models"]


def test_probes_answer_json(http: httpx.Client) -> None:
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True}
    ready = {"name": "double", "ready": True}
    assert http.get("/v2/models/double/ready").json() == ready
    assert http.get("/v2/models/double/versions/1/ready").json() == ready
    assert http.get("/").json()["status"] == "alive"


def test_an_answer_has_the_members_that_it_must(http: httpx.Client) -> None:
    response = http.post(DOUBLE, json={"id": "42", "inputs": [TENSOR]})
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "model_name": "double",
        "model_version": "1",
        "id": "42",
        "outputs": [{"name": "y", "shape": [1, 4], "datatype": "FP32", "data": [2, 4, 6, 8]}],
    }
    assert "id" not in http.post(DOUBLE, json={"inputs": [TENSOR]}).json()


def test_every_version_has_its_own_path(http: httpx.Client) -> None:
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [[1, 2, 3]]}
    for version in ("1", "2"):
        path = f"/v2/models/versions/versions/{version}/infer"
        assert http.post(path, json={"inputs": [tensor]}).json()["model_version"] == version
    newest = http.post("/v2/models/versions/infer", json={"inputs": [tensor]}).json()
    assert newest["model_version"] == "2"


def test_records_with_null_for_what_is_left_out_are_taken(http: httpx.Client) -> None:
    tensor = {**TENSOR, "parameters": {"content_type": None, "headers": None}}
    body = {"id": None, "parameters": None, "inputs": [tensor], "outputs": None}
    assert http.post(DOUBLE, json=body).status_code == 200


def test_non_finite_answers_are_null_in_json_and_themselves_in_binary_form(
    http: httpx.Client,
) -> None:
    array = np.array([[np.nan, np.inf, -np.inf, 1]], np.float32)
    raw = {"inference-header-content-length": "0"}
    response = http.post(DOUBLE, content=array.tobytes(), headers=raw)
    start = int(response.headers["inference-header-content-length"])
    assert response.content[start:] == (array * 2).tobytes()
    head = {"name": "x", "shape": [1, 4], "datatype": "FP32"}
    head["parameters"] = {"binary_data_size": 16}
    header = json.dumps({"inputs": [head]}).encode()
    length = {"inference-header-content-length": str(len(header))}
    response = http.post(DOUBLE, content=header + array.tobytes(), headers=length)
    assert response.json()["outputs"][0]["data"] == [None, None, None, 2]


# -- raw bodies -----------------------------------------------------------------------------------


def raw(http: httpx.Client, model: str, content: Any) -> httpx.Response:
    headers = {"inference-header-content-length": "0"}
    return http.post(f"/v2/models/{model}/infer", content=content, headers=headers)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_raw_body_is_answered_in_binary_form(http: httpx.Client, is_chunked: bool) -> None:
    for time in (1, 16):
        data = np.arange(2 * time, dtype=np.float32)
        content = iter([data.tobytes()]) if is_chunked else data.tobytes()
        response = raw(http, "variable", content)
        start = int(response.headers["inference-header-content-length"])
        assert response.headers["content-type"] == "application/octet-stream"
        header = json.loads(response.content[:start])
        assert header["outputs"][0]["shape"] == [1, time, 2]
        assert response.content[start:] == (data * 2).tobytes()


def test_a_raw_string_needs_no_length(http: httpx.Client) -> None:
    response = raw(http, "text", "427")
    start = int(response.headers["inference-header-content-length"])
    assert response.content[start:] == b"\x03\0\0\x00427"


def test_what_a_raw_body_cannot_be_is_said(http: httpx.Client) -> None:
    for model, content, words in (
        ("add-sub", b"\0" * 32, "takes 2"),
        ("identity-bytes", b"427", "another shape"),
        ("double", b"\0" * 15, "not 16"),
        ("variable", b"", "multiple of 8"),
        ("text", b"\xff\xfe", "UTF-8"),
    ):
        assert words in refused(raw(http, model, content))


# -- what rude callers send -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "length", ["99999999999", "-1", "1e3", "0x10", "5 5", "+5", "5,5", "", "9" * 30]
)
def test_a_header_length_that_is_none_is_refused(http: httpx.Client, length: str) -> None:
    body = json.dumps({"inputs": [TENSOR]})
    refused(http.post(DOUBLE, content=body, headers={"inference-header-content-length": length}))
    assert http.get("/v2/health/live").status_code == 200


def test_two_header_lengths_are_refused(http: httpx.Client) -> None:
    body = json.dumps({"inputs": [TENSOR]}).encode()
    name = "inference-header-content-length"
    refused(http.post(DOUBLE, content=body, headers=[(name, str(len(body))), (name, "5")]))


@pytest.mark.parametrize(
    "shape",
    [
        [2**4, 2**60 + 2],
        [2**2, 2**60 + 2],
        [2**63, 2],
        [2**64, 1],
        [2, -5],
        [-1, 4],
        [0, 4],
        [0],
        [],
        [1.0, 4],
        [True, 4],
        ["1", 4],
        [[1, 4]],
        [1] * 100_000,
        None,
        4,
    ],
    ids=lambda shape: str(shape)[:40],
)
def test_shapes_beyond_reason_are_refused(http: httpx.Client, shape: object) -> None:
    assert "'x'" in refused(http.post(DOUBLE, json={"inputs": [TENSOR | {"shape": shape}]}))


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [TENSOR] * 100_000},
        {"inputs": [TENSOR], "outputs": [{"name": "y"}] * 1_000},
        {"inputs": [TENSOR], "outputs": [{"name": "y"}, {"name": "y"}]},
        {"inputs": [TENSOR], "outputs": [{"name": "z"}]},
        {"inputs": [TENSOR | {"data": [1, 2, 3]}]},
        {"inputs": [TENSOR | {"data": [[1, 2], [3]]}]},
        {"inputs": [TENSOR | {"data": [1, 2, 3, None]}]},
        {"inputs": [TENSOR | {"data": [1, 2, 3, "4"]}]},
        {"inputs": [TENSOR | {"data": [1, 2, 3, True]}]},
        {"inputs": [TENSOR | {"data": [1, 2, 3, 1e39]}]},
        {"inputs": [TENSOR | {"data": {}}]},
        {"inputs": [TENSOR | {"data": None}]},
        {"inputs": [TENSOR | {"datatype": "FP16"}]},
        {"inputs": [TENSOR | {"datatype": "FLOAT32"}]},
        {"inputs": [TENSOR | {"name": "../x"}]},
        {"inputs": "x"},
        {"inputs": []},
        {},
        [],
        "x",
    ],
    ids=lambda body: json.dumps(body)[-60:],
)
def test_requests_that_are_none_are_refused(http: httpx.Client, body: object) -> None:
    refused(http.post(DOUBLE, json=body))


@pytest.mark.parametrize("path", [DOUBLE, "/v2/repository/index", "/v1/models/double:predict"])
@pytest.mark.parametrize("levels", [101, 1_025, 250_000])
def test_json_without_a_bottom_is_refused(http: httpx.Client, path: str, levels: int) -> None:
    for body in (b"[" * levels, b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1"):
        refused(http.post(path, content=body, headers={"content-type": "application/json"}))


def test_wrong_types_and_encodings_are_415(http: httpx.Client) -> None:
    body = json.dumps({"inputs": [TENSOR]}).encode()
    for headers in (
        {"content-type": "application/xml"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-encoding": "br"},
    ):
        refused(http.post(DOUBLE, content=body, headers=headers), 415)


def test_unknown_names_and_versions_are_404(http: httpx.Client) -> None:
    for name in ("nobody", "%2e%2e", "a%2fb", "double%00", "x" * 300, "double/versions/0"):
        for method, what in (("GET", ""), ("GET", "/ready"), ("GET", "/stats"), ("POST", "/infer")):
            refused(http.request(method, f"/v2/models/{name}{what}", content=b"{}"), 404, 405)


def test_after_all_this_the_server_is_well(served: ServerProcess, http: httpx.Client) -> None:
    assert http.post(DOUBLE, json={"inputs": [TENSOR]}).status_code == 200
    assert served.process.poll() is None
    assert "Traceback" not in served.errors
