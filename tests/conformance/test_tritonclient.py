"""tritonclient.http as people install it: everything that it can ask and this server claims to answer."""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from models.datatypes import DataType, TypeInfo
from tests.conformance.models import FULL_BATCH, IDENTITIES, LABELS

BINARY_ONLY = {DataType.BFLOAT16}


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address, concurrency=2 * FULL_BATCH) as made:
        yield made


def tensor(
    name: str, array: np.ndarray, datatype: str, *, is_binary: bool = True
) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), datatype)
    return made.set_data_from_numpy(array, binary_data=is_binary)


def sample(info: TypeInfo) -> np.ndarray:
    """[2, 2] with the ends of the type's range, as the client wants it."""
    if info.onnx is DataType.STRING:
        return np.array([["", "grüße"], ["a:b\0c", '{"x": "\\"}']], object)
    if info.onnx is DataType.BOOL:
        return np.array([[True, False], [False, True]])
    if info.onnx is DataType.BFLOAT16:
        import ml_dtypes

        return np.array([[1.5, -2], [0, 3e38]], ml_dtypes.bfloat16)
    limits = np.iinfo(info.numpy) if info.numpy.kind in "iu" else np.finfo(info.numpy)
    return np.array([[limits.min, limits.max], [0, 1]], info.numpy)


def text(array: np.ndarray | None) -> list[object]:
    """Nested lists; the client leaves strings as bytes when they came in binary form."""
    assert array is not None
    if array.dtype != object:
        return array.tolist()
    flat = [part.decode() if isinstance(part, bytes) else part for part in array.ravel()]
    return np.array(flat, object).reshape(array.shape).tolist()


FORMS = [
    (name, info, binary_in, binary_out)
    for name, info in IDENTITIES.items()
    for binary_in in (True, False)
    for binary_out in (True, False)
    if info.onnx not in BINARY_ONLY or (binary_in and binary_out)
]


@pytest.mark.parametrize(
    ("name", "info", "binary_in", "binary_out"),
    FORMS,
    ids=[f"{name}-{'jb'[there]}{'jb'[back]}" for name, _, there, back in FORMS],
)
def test_every_datatype_comes_back_as_it_was_sent(
    client: triton.InferenceServerClient,
    name: str,
    info: TypeInfo,
    binary_in: bool,
    binary_out: bool,
) -> None:
    sent = sample(info)
    wanted = [triton.InferRequestedOutput("y", binary_data=binary_out)]
    inputs = [tensor("x", sent, info.v2, is_binary=binary_in)]
    result = client.infer(name, inputs, outputs=wanted)
    output = result.get_output("y")
    assert (output["datatype"], output["shape"]) == (info.v2, [2, 2])
    assert ("data" in output) is not binary_out
    assert text(result.as_numpy("y")) == text(sent)


def test_bfloat16_is_not_put_in_json(client: triton.InferenceServerClient) -> None:
    sent = tensor("x", sample(IDENTITIES["identity-bf16"]), "BF16")
    wanted = [triton.InferRequestedOutput("y", binary_data=False)]
    with pytest.raises(InferenceServerException, match="binary_data"):
        client.infer("identity-bf16", [sent], outputs=wanted)


def test_outputs_that_are_not_named_all_come_in_binary_form(
    client: triton.InferenceServerClient,
) -> None:
    a, b = np.array([[5, 6, 7, 8]], np.int32), np.array([[1, 2, 3, 4]], np.int32)
    result = client.infer("add-sub", [tensor("b", b, "INT32"), tensor("a", a, "INT32")])
    assert result.as_numpy("sum").tolist() == (a + b).tolist()
    assert result.as_numpy("diff").tolist() == (a - b).tolist()
    assert [o["name"] for o in result.get_response()["outputs"]] == ["sum", "diff"]


def test_json_and_binary_mix_and_only_wanted_outputs_come(
    client: triton.InferenceServerClient,
) -> None:
    a, b = np.full((2, 4), 9, np.int32), np.arange(8, dtype=np.int32).reshape(2, 4)
    inputs = [tensor("a", a, "INT32", is_binary=False), tensor("b", b, "INT32")]
    result = client.infer("add-sub", inputs, outputs=[triton.InferRequestedOutput("diff")])
    assert result.as_numpy("diff").tolist() == (a - b).tolist()
    assert result.as_numpy("sum") is None


@pytest.mark.parametrize("time", [1, 7, 300])
def test_axes_that_vary_do_from_request_to_request(
    client: triton.InferenceServerClient, time: int
) -> None:
    array = np.random.default_rng(time).standard_normal((3, time, 2)).astype(np.float32)
    result = client.infer("variable", [tensor("x", array, "FP32")])
    assert np.array_equal(result.as_numpy("y"), array * 2)


def test_a_model_without_batch_takes_one_string(client: triton.InferenceServerClient) -> None:
    result = client.infer("text", [tensor("x", np.array(["ä b"], object), "BYTES")])
    assert text(result.as_numpy("y")) == ["ä b"]


def test_a_batch_larger_than_the_models_is_answered_whole(
    client: triton.InferenceServerClient,
) -> None:
    array = np.arange(100 * 4, dtype=np.float32).reshape(100, 4)
    result = client.infer("double", [tensor("x", array, "FP32")])
    assert np.array_equal(result.as_numpy("y"), array * 2)


ALGORITHMS = [None, "gzip", "deflate"]


@pytest.mark.parametrize("there", ALGORITHMS)
@pytest.mark.parametrize("back", ALGORITHMS)
def test_bodies_are_compressed_both_ways(
    client: triton.InferenceServerClient, there: str | None, back: str | None
) -> None:
    array = np.zeros((8, 4), np.float32)
    result = client.infer(
        "double",
        [tensor("x", array, "FP32")],
        request_compression_algorithm=there,
        response_compression_algorithm=back,
    )
    assert np.array_equal(result.as_numpy("y"), array)


def test_id_version_priority_timeout_and_parameters_of_ones_own(
    client: triton.InferenceServerClient,
) -> None:
    result = client.infer(
        "versions",
        [tensor("x", np.ones((1, 3), np.float32), "FP32")],
        model_version="1",
        request_id="an id/ü",
        priority=1,
        timeout=5_000_000,
        parameters={"tenant": "me", "score": 0.5},
    )
    response = result.get_response()
    assert (response["id"], response["model_version"]) == ("an id/ü", "1")


def test_a_timeout_that_is_over_is_said_to_be(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as refusal:
        client.infer("slow", [tensor("x", np.ones((1, 2), np.float32), "FP32")], timeout=1_000)
    assert refusal.value.status() == "504"


@pytest.mark.parametrize("is_binary", [True, False])
def test_classes_come_with_value_index_and_label(
    client: triton.InferenceServerClient, is_binary: bool
) -> None:
    array = np.array([[0.5, 2.5, 1], [3, 0, -1]], np.float32)
    wanted = [triton.InferRequestedOutput("y", binary_data=is_binary, class_count=2)]
    result = client.infer("labelled", [tensor("x", array, "FP32")], outputs=wanted)
    assert text(result.as_numpy("y")) == [
        [f"2.5:1:{LABELS[1]}", f"1.0:2:{LABELS[2]}"],
        [f"3.0:0:{LABELS[0]}", f"0.0:1:{LABELS[1]}"],
    ]


def test_requests_that_come_together_run_in_one_batch(
    client: triton.InferenceServerClient,
) -> None:
    """The graph itself says how many items it ran with."""
    asked = [
        client.async_infer("crowd", [tensor("x", np.array([[i]], np.float32), "FP32")], priority=1)
        for i in range(FULL_BATCH)
    ]
    results = [each.get_result() for each in asked]
    assert [r.as_numpy("y").tolist() for r in results] == [[[i]] for i in range(FULL_BATCH)]
    assert {r.as_numpy("size").item() for r in results} == {FULL_BATCH}


def test_a_request_can_be_made_and_read_without_the_client(
    client: triton.InferenceServerClient,
) -> None:
    """Bodies made ahead, as load generators do."""
    array = np.ones((1, 4), np.float32)
    body, length = triton.InferenceServerClient.generate_request_body(
        [tensor("x", array, "FP32")], outputs=[triton.InferRequestedOutput("y")]
    )
    response = client._post(
        "v2/models/double/infer", body, {"Inference-Header-Content-Length": length}, None
    )
    result = triton.InferenceServerClient.parse_response_body(
        response.read(), header_length=int(response["inference-header-content-length"])
    )
    assert result.as_numpy("y").tolist() == [[2, 2, 2, 2]]


# -- what the server says of itself ---------------------------------------------------------------


def test_health(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("double")
    assert client.is_model_ready("versions", "2")
    assert not client.is_model_ready("versions", "3")
    assert not client.is_model_ready("nobody")


def test_server_metadata_lists_extensions(client: triton.InferenceServerClient) -> None:
    metadata = client.get_server_metadata()
    assert metadata["name"] == "slipway"
    assert {"binary_tensor_data", "classification", "statistics"} <= set(metadata["extensions"])


def test_metadata_is_enough_to_build_a_request(client: triton.InferenceServerClient) -> None:
    metadata = client.get_model_metadata("add-sub")
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["versions"] == ["1"]
    inputs = [
        tensor(i["name"], np.ones([abs(size) for size in i["shape"]], np.int32), i["datatype"])
        for i in metadata["inputs"]
    ]
    result = client.infer("add-sub", inputs)
    assert {o["name"] for o in metadata["outputs"]} == {"sum", "diff"}
    assert result.as_numpy("sum").tolist() == [[2, 2, 2, 2]]
    assert client.get_model_metadata("versions")["versions"] == ["1", "2"]
    assert client.get_model_metadata("variable")["inputs"][0]["shape"] == [-1, -1, 2]


def test_config_has_the_batching_that_is_in_force(client: triton.InferenceServerClient) -> None:
    config = client.get_model_config("crowd")
    assert config["name"] == "crowd"
    assert config["max_batch_size"] == FULL_BATCH
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 1_000_000
    assert config["dynamic_batching"]["priority_levels"] == 2
    assert config["input"][0] | {"data_type": "TYPE_FP32", "dims": [1]} == config["input"][0]
    assert client.get_model_config("text")["max_batch_size"] == 0
    assert client.get_model_config("labelled", "1")["output"][0]["label_filename"] == "labels.txt"


def test_statistics_count_what_was_asked_by_batch_size(
    client: triton.InferenceServerClient,
) -> None:
    def stats() -> dict[str, object]:
        (found,) = client.get_inference_statistics("variable", "1")["model_stats"]
        return found

    before = stats()
    array = np.ones((5, 1, 2), np.float32)
    client.infer("variable", [tensor("x", array, "FP32")])
    with pytest.raises(InferenceServerException):
        client.infer("variable", [tensor("x", array.astype(np.int64), "INT64")])
    after = stats()
    assert after["inference_count"] == before["inference_count"] + 5
    assert after["execution_count"] == before["execution_count"] + 1
    for outcome in ("success", "fail"):
        was, now = before["inference_stats"][outcome], after["inference_stats"][outcome]
        assert now["count"] == was["count"] + 1
        assert now["ns"] > was["ns"]
    five = {cell["batch_size"]: cell for cell in after["batch_stats"]}[5]
    assert five["compute_infer"]["count"] >= 1
    assert five["compute_infer"]["ns"] > 0
    assert after["last_inference"] >= before["last_inference"] > 0 or not before["last_inference"]
    names = {entry["name"] for entry in client.get_inference_statistics()["model_stats"]}
    assert {"variable", "versions"} <= names
    assert len(client.get_inference_statistics("versions")["model_stats"]) == 2


def test_the_index_lists_every_version(client: triton.InferenceServerClient) -> None:
    index = client.get_model_repository_index()
    states = {(entry["name"], entry["version"]): entry["state"] for entry in index}
    assert states["versions", "1"] == states["versions", "2"] == "READY"


# -- refusals -------------------------------------------------------------------------------------


def test_errors_reach_the_caller_with_status_and_words(
    client: triton.InferenceServerClient,
) -> None:
    ones = np.ones((1, 4), np.float32)
    for model, inputs, more, status, words in (
        ("nobody", [tensor("x", ones, "FP32")], {}, "404", "there is no model 'nobody'"),
        ("double", [tensor("z", ones, "FP32")], {}, "400", "input 'z' is unknown"),
        ("double", [tensor("x", ones.astype(np.float64), "FP64")], {}, "400", "is FP32, not FP64"),
        ("double", [tensor("x", ones[:, :3], "FP32")], {}, "400", "axis 4 is 3"),
        ("add-sub", [tensor("a", ones.astype(np.int32), "INT32")], {}, "400", "'b' is missing"),
        ("double", [tensor("x", ones, "FP32")], {"sequence_id": 4}, "400", "no state"),
        ("versions", [tensor("x", ones, "FP32")], {"model_version": "9"}, "404", "version 9"),
    ):
        with pytest.raises(InferenceServerException) as refusal:
            client.infer(model, inputs, **more)
        assert refusal.value.status() == status
        assert words in refusal.value.message()


def test_shared_memory_is_refused_rather_than_ignored(
    client: triton.InferenceServerClient,
) -> None:
    shared = triton.InferInput("x", [1, 4], "FP32")
    shared.set_shared_memory("region", 16)
    with pytest.raises(InferenceServerException, match="shared memory"):
        client.infer("double", [shared])


def test_what_is_not_offered_is_said_not_to_be(client: triton.InferenceServerClient) -> None:
    for ask in (
        client.get_log_settings,
        client.get_trace_settings,
        client.get_system_shared_memory_status,
    ):
        with pytest.raises(InferenceServerException) as refusal:
            ask()
        assert refusal.value.status() == "404"
