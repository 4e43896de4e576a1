"""tritonclient.http.aio as people install it."""

import asyncio
import re

import httpx
import numpy as np
import pytest
import tritonclient.http.aio as triton
from tritonclient.utils import InferenceServerException

from tests.conformance.models import FULL_BATCH
from tests.conformance.test_tritonclient import tensor
from tests.service.conftest import ServerProcess
from tests.service.loops import in_loop

_PENDING = re.compile(r'slipway_pending_requests\{[^}]*model="urgent"[^}]*\} (\S+)')


def test_many_requests_at_once_share_batches_and_keep_their_answers(address: str) -> None:
    @in_loop
    async def ask() -> None:
        async with triton.InferenceServerClient(address, conn_limit=FULL_BATCH) as client:
            results = await asyncio.gather(
                *(
                    client.infer("crowd", [tensor("x", np.array([[i]], np.float32), "FP32")])
                    for i in range(FULL_BATCH)
                )
            )
        assert [r.as_numpy("y").item() for r in results] == list(range(FULL_BATCH))
        assert {r.as_numpy("size").item() for r in results} == {FULL_BATCH}

    ask()


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
@pytest.mark.parametrize("is_binary", [True, False])
def test_binary_and_json_plain_and_compressed(
    address: str, algorithm: str | None, is_binary: bool
) -> None:
    @in_loop
    async def ask() -> None:
        array = np.arange(32, dtype=np.float32).reshape(8, 4)
        async with triton.InferenceServerClient(address) as client:
            result = await client.infer(
                "double",
                [tensor("x", array, "FP32", is_binary=is_binary)],
                outputs=[triton.InferRequestedOutput("y", binary_data=is_binary)],
                request_id="7",
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
        assert np.array_equal(result.as_numpy("y"), array * 2)
        assert result.get_response()["id"] == "7"

    ask()


def test_what_the_server_says_of_itself(address: str) -> None:
    @in_loop
    async def ask() -> None:
        async with triton.InferenceServerClient(address) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("double", "1")
            assert not await client.is_model_ready("nobody")
            assert (await client.get_server_metadata())["name"] == "slipway"
            assert (await client.get_model_metadata("double"))["name"] == "double"
            assert (await client.get_model_config("double"))["max_batch_size"] == 8
            assert (await client.get_inference_statistics("double"))["model_stats"]
            index = await client.get_model_repository_index()
            assert {"double", "crowd"} <= {entry["name"] for entry in index}

    ask()


def test_errors_reach_the_caller_with_status_and_words(address: str) -> None:
    @in_loop
    async def ask() -> None:
        async with triton.InferenceServerClient(address) as client:
            ones = tensor("x", np.ones((1, 2), np.float32), "FP32")
            with pytest.raises(InferenceServerException, match="axis 4 is 2") as refusal:
                await client.infer("double", [ones])
            assert refusal.value.status() == "400"
            with pytest.raises(InferenceServerException) as refusal:
                await client.infer("slow", [ones], timeout=1_000)
            assert refusal.value.status() == "504"

    ask()


def test_an_urgent_request_overtakes_those_that_wait(served: ServerProcess, address: str) -> None:
    """One run at a time; four wait when the urgent one comes."""
    finished: list[str] = []

    @in_loop
    async def ask() -> None:
        async with (
            triton.InferenceServerClient(address, conn_limit=10) as client,
            httpx.AsyncClient(base_url=served.url) as http,
        ):

            async def infer(name: str, priority: int) -> None:
                await client.infer("urgent", [ones], priority=priority)
                finished.append(name)

            async def waiting() -> int:
                found = _PENDING.search((await http.get("/metrics")).text)
                assert found is not None
                return int(float(found.group(1)))

            ones = tensor("x", np.ones((1, 2), np.float32), "FP32")
            patient = [asyncio.create_task(infer(f"patient-{i}", 2)) for i in range(5)]
            while await waiting() < 4:
                assert not finished, "the runs are too short to queue up behind"
            await infer("urgent", 1)
            await asyncio.gather(*patient)

    ask()
    assert finished.index("urgent") <= 2
