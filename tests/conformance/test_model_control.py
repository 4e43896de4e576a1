"""Loading and unloading through tritonclient, in explicit mode."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.conformance.test_tritonclient import tensor
from tests.service.conftest import running

TOKEN = "a-token-for-tests-only"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def client(repository: Path) -> Iterator[triton.InferenceServerClient]:
    arguments = ("--model-control-mode", "explicit", "--model", "double")
    token = {"SLIPWAY_ADMIN_TOKEN": TOKEN}
    with (
        running("--repository", str(repository), *arguments, environment=token) as server,
        triton.InferenceServerClient(server.url.removeprefix("http://")) as made,
    ):
        yield made


def states(client: triton.InferenceServerClient, name: str) -> dict[str, str]:
    index = client.get_model_repository_index()
    return {entry["version"]: entry["state"] for entry in index if entry["name"] == name}


def test_a_model_comes_answers_and_goes(client: triton.InferenceServerClient) -> None:
    ones = np.ones((1, 2), np.float32)
    assert states(client, "identity-fp32") == {"1": "UNAVAILABLE"}
    client.load_model("identity-fp32", headers=ADMIN)
    assert client.is_model_ready("identity-fp32")
    assert states(client, "identity-fp32") == {"1": "READY"}
    result = client.infer("identity-fp32", [tensor("x", ones, "FP32")])
    assert np.array_equal(result.as_numpy("y"), ones)
    client.load_model("identity-fp32", headers=ADMIN)  # once more: nothing changes
    client.unload_model("identity-fp32", headers=ADMIN, unload_dependents=True)
    assert not client.is_model_ready("identity-fp32")
    assert client.is_server_ready()
    with pytest.raises(InferenceServerException) as refusal:
        client.infer("identity-fp32", [tensor("x", ones, "FP32")])
    assert refusal.value.status() == "404"


def test_only_the_admin_loads_and_unloads(client: triton.InferenceServerClient) -> None:
    for headers in (None, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        for command in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException) as refusal:
                command("add-sub", headers=headers)
            assert refusal.value.status() == "401"
            assert TOKEN not in refusal.value.message()


def test_what_cannot_be_loaded_is_said(client: triton.InferenceServerClient) -> None:
    for name, more, status, words in (
        ("nobody", {}, "404", "nobody"),
        ("add-sub", {"config": '{"backend": "onnxruntime"}'}, "400", "as it was published"),
        ("add-sub", {"config": "{}", "files": {"file:1/model.onnx": b"x"}}, "400", "published"),
    ):
        with pytest.raises(InferenceServerException, match=words) as refusal:
            client.load_model(name, headers=ADMIN, **more)
        assert refusal.value.status() == status
    with pytest.raises(InferenceServerException) as refusal:
        client.unload_model("nobody", headers=ADMIN)
    assert refusal.value.status() == "404"


def test_other_control_modes_refuse_commands(address: str) -> None:
    with triton.InferenceServerClient(address) as client:
        with pytest.raises(InferenceServerException, match="explicit") as refusal:
            client.load_model("double")
        assert refusal.value.status() == "400"
        assert client.is_model_ready("double")
