"""OpenAI's own client, unmodified, against a real server: vectors, encodings, errors."""

import asyncio
from collections.abc import Iterator

import httpx
import numpy as np
import openai
import pytest

from models.transforms.vectors import normalised
from tests.service.conftest import ServerProcess, running
from tests.service.text_bundles import (
    DIMENSIONS,
    TABLE,
    embedding_bundle,
    similarity_bundle,
)

TEXTS = ["hej", "two words", "שלום", "x"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    repository = tmp_path_factory.mktemp("openai") / "repository"
    embedding_bundle(repository)
    embedding_bundle(repository, "whole", may_be_shortened=False)
    similarity_bundle(repository)
    with running("--repository", str(repository)) as started:
        yield started
        assert "Traceback" not in started.errors


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def expected(server: ServerProcess, texts: list[str]) -> np.ndarray:
    """By the ids that the server itself shows, and the table that the graph was made of."""
    with server.client() as http:
        rows = http.post("/tokenize?model=sentences", json={"inputs": texts}).json()
    means = [TABLE[[token["id"] for token in row]].mean(0) for row in rows]
    return normalised(np.stack(means))


def test_vectors_come_by_default_which_is_base64(
    server: ServerProcess, client: openai.OpenAI
) -> None:
    answer = client.embeddings.create(model="sentences", input=TEXTS)
    assert [row.index for row in answer.data] == list(range(len(TEXTS)))
    assert np.allclose([row.embedding for row in answer.data], expected(server, TEXTS), atol=1e-6)
    assert answer.model == "sentences"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_floats_are_the_same_numbers(client: openai.OpenAI) -> None:
    base64 = client.embeddings.create(model="sentences", input="hej").data[0].embedding
    floats = client.embeddings.create(model="sentences", input="hej", encoding_format="float")
    assert np.array_equal(np.float32(floats.data[0].embedding), np.float32(base64))


def test_fewer_dimensions(client: openai.OpenAI) -> None:
    whole = client.embeddings.create(model="sentences", input="hej").data[0].embedding
    short = client.embeddings.create(model="sentences", input="hej", dimensions=3)
    assert np.allclose(short.data[0].embedding, normalised(np.float32(whole[:3])), atol=1e-6)
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="whole", input="hej", dimensions=3)
    assert caught.value.param == "dimensions"


def test_token_ids(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="sentences", input=[[1, 2], [3]])
    found = [row.embedding for row in answer.data]
    assert np.allclose(found, normalised(np.stack([TABLE[[1, 2]].mean(0), TABLE[3]])), atol=1e-6)
    assert client.embeddings.create(model="sentences", input=[1, 2]).usage.total_tokens == 2


def test_the_clients_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.embeddings.create(model="nobody", input="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        client.embeddings.create(model="sentences", input="a" * 33)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as other:
        client.embeddings.create(model="pairs", input="a")
    assert other.value.param == "model"


def test_many_at_once_by_the_asynchronous_client(server: ServerProcess) -> None:
    async def ask() -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            answers = await asyncio.gather(
                *(client.embeddings.create(model="sentences", input=text) for text in TEXTS * 4)
            )
        return [answer.data[0].embedding for answer in answers]

    found = asyncio.run(ask())
    assert np.allclose(found, expected(server, TEXTS * 4), atol=1e-6)


def test_a_thousand_texts_in_one_request(server: ServerProcess, client: openai.OpenAI) -> None:
    texts = [f"text {n}" for n in range(1000)]
    answer = client.embeddings.create(model="sentences", input=texts)
    found = np.array([row.embedding for row in answer.data])
    assert found.shape == (1000, DIMENSIONS)
    assert np.allclose(found, expected(server, texts), atol=1e-6)


def test_answers_are_counted_in_the_metrics(server: ServerProcess, client: openai.OpenAI) -> None:
    client.embeddings.create(model="sentences", input="hej")
    httpx.post(f"{server.url}/rerank", json={"query": "a", "texts": ["b"]}).raise_for_status()
    text = httpx.get(f"{server.url}/metrics").text
    for endpoint, model in (("/v1/embeddings", "sentences"), ("/rerank", "pairs")):
        line = next(
            line
            for line in text.splitlines()
            if line.startswith("slipway_requests_total")
            and f'endpoint="{endpoint}"' in line
            and f'model="{model}"' in line
            and 'code="200"' in line
        )
        assert float(line.split()[-1]) >= 1
