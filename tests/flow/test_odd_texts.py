"""Whatever text a caller sends, a classifier answers it or says what is wrong with it; never a 5xx."""

from collections.abc import Iterator

import httpx
import pytest

from tests.flow.conftest import train_tiny
from tests.service.conftest import ServerProcess, running

pytestmark = pytest.mark.slow

# One tokenizer of bytes, one that adds special tokens and knows an unknown word.
RECIPES = ("text-gru", "text-pretrained")
MEGABYTE = 1_000_000

ODD = {
    "nothing": "",
    "spaces": " \t\n",
    "NUL": "\0",
    "NUL inside": "the \0film was great",
    "right to left": "مرحبا بالعالم \u202eabc\u202c שָׁלוֹם",
    "one letter, a megabyte": "a" * MEGABYTE,
    "spaces, a megabyte": " " * MEGABYTE,
    "words, a megabyte": "good " * (MEGABYTE // 5),
    "combining marks": "e" + "\u0301" * 5000,
    "emoji": "👩‍👩‍👧 🇩🇪 ❤\ufe0f",
    "private use and unassigned": "\ue000\U0010ffff\u0378",
    "control characters": "".join(map(chr, range(32))),
    "special tokens in words": "[CLS] [SEP] [PAD] <s> </s>",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    repository = tmp_path_factory.mktemp("odd") / "models" / "repository"
    for recipe in RECIPES:
        train_tiny(recipe, repository)
    with running("--repository", str(repository)) as started:
        yield started
        assert "Traceback" not in started.errors


def ask(server: ServerProcess, model: str, **request: object) -> httpx.Response:
    with server.client() as client:
        return client.post(f"/v1/models/{model}/predict", **request)  # type: ignore[arg-type]


def require_sense(reply: httpx.Response) -> None:
    assert reply.status_code == 200 or 400 <= reply.status_code < 500, reply.text
    if reply.status_code == 200:
        assert reply.json()["predictions"][0]["label"] in ("negative", "positive")
    else:
        error = reply.json()["error"]
        assert error["message"] if isinstance(error, dict) else error


@pytest.mark.parametrize("model", RECIPES)
@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("truncate", [False, True])
def test_an_odd_text_is_answered_or_refused_with_a_reason(
    server: ServerProcess, model: str, text: str, truncate: bool
) -> None:
    require_sense(ask(server, model, json={"text": text, "truncate": truncate}))
    raw = {"content-type": "text/plain"}
    flag = f"?truncate={str(truncate).lower()}"
    with server.client() as client:
        path = f"/v1/models/{model}/predict{flag}"
        require_sense(client.post(path, content=text.encode(), headers=raw))


@pytest.mark.parametrize("model", RECIPES)
def test_a_text_that_is_too_long_is_cut_only_when_asked(server: ServerProcess, model: str) -> None:
    text = "the film was good " * 500
    refused = ask(server, model, json={"text": text})
    assert refused.status_code == 400
    assert "more than 64 tokens" in refused.text
    assert ask(server, model, json={"text": text, "truncate": True}).status_code == 200


@pytest.mark.parametrize("model", RECIPES)
@pytest.mark.parametrize("text", ["", "\0" * 9 + " ", " "])
def test_nothing_to_read_is_a_client_mistake(server: ServerProcess, model: str, text: str) -> None:
    reply = ask(server, model, json={"text": text})
    if model == "text-gru" and "\0" in text:
        assert reply.status_code == 200, "bytes are read one by one, NUL too"
    else:
        assert reply.status_code == 400
        assert "empty" in reply.text


@pytest.mark.parametrize("model", RECIPES)
@pytest.mark.parametrize(
    "body", [b'{"text": "\\ud800"}', b'{"text": 7}', b'{"text": ["fine", 7]}', b'{"text": "\xff"}']
)
def test_what_is_no_text_is_a_client_mistake(
    server: ServerProcess, model: str, body: bytes
) -> None:
    reply = ask(server, model, content=body, headers={"content-type": "application/json"})
    assert 400 <= reply.status_code < 500, reply.text


@pytest.mark.parametrize("model", RECIPES)
def test_bytes_that_are_not_utf_8_are_named(server: ServerProcess, model: str) -> None:
    reply = ask(server, model, content=b"caf\xe9", headers={"content-type": "text/plain"})
    assert reply.status_code == 400
    assert "not UTF-8" in reply.text
