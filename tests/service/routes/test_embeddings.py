"""OpenAI's embeddings: the answer's shape, four forms of input, two encodings, and what is refused."""

import base64
from collections.abc import Iterator

import numpy as np
import pytest
from httpx import Response

from models.transforms.vectors import normalised
from tests.service.bundles import digits_bundle
from tests.service.fakes import Service, serving
from tests.service.text_bundles import DIMENSIONS, MAX_TOKENS, TABLE, embedding_bundle

PATH = "/v1/embeddings"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    repository = tmp_path_factory.mktemp("embeddings") / "repository"
    bundles = [
        embedding_bundle(repository),
        embedding_bundle(repository, "whole", may_be_shortened=False),
        digits_bundle(repository),
    ]
    with serving(bundles) as running:
        yield running


def ask(service: Service, given: object, **members: object) -> Response:
    return service.client.post(PATH, json={"model": "sentences", "input": given, **members})


def vector(text: str) -> np.ndarray:
    """What the fake computes, of length 1. The byte tokenizer's ids are not the bytes themselves."""
    from tokenizers import Tokenizer

    from tests.service.bundles import byte_tokenizer

    ids = Tokenizer.from_str(byte_tokenizer()).encode(text).ids
    return normalised(TABLE[ids].mean(0))


def vectors(response: Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.array([row["embedding"] for row in response.json()["data"]], np.float32)


def problem(response: Response, status: int) -> dict[str, object]:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return dict(body["error"])


def test_the_answer_has_openais_shape(service: Service) -> None:
    response = ask(service, "hej")
    body = response.json()
    assert (body["object"], body["model"]) == ("list", "sentences")
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    [row] = body["data"]
    assert (row["object"], row["index"]) == ("embedding", 0)
    assert np.allclose(row["embedding"], vector("hej"), atol=1e-6)
    assert response.headers["x-model-version"] == "1"
    assert response.headers["x-request-id"]
    assert "queue" in response.headers["server-timing"]


def test_texts_are_answered_in_their_order(service: Service) -> None:
    texts = [f"{'x' * (n % 7)}{n}" for n in range(100)]
    response = ask(service, texts)
    assert np.allclose(vectors(response), [vector(text) for text in texts], atol=1e-6)
    assert [row["index"] for row in response.json()["data"]] == list(range(100))


def test_token_ids_give_what_their_text_gives(service: Service) -> None:
    tokens = service.client.post("/tokenize", json={"inputs": ["hej", "då"], "model": "sentences"})
    ids = [[token["id"] for token in row] for row in tokens.json()]
    assert np.array_equal(vectors(ask(service, ids)), vectors(ask(service, ["hej", "då"])))
    assert np.array_equal(vectors(ask(service, ids[0])), vectors(ask(service, "hej")))


def test_base64_holds_the_same_numbers(service: Service) -> None:
    given = ["a", "b c"]
    rows = ask(service, given, encoding_format="base64").json()["data"]
    found = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in rows]
    assert np.array_equal(np.stack(found), vectors(ask(service, given, encoding_format="float")))


def test_a_shortened_vector_is_the_beginning_brought_to_length_one(service: Service) -> None:
    [short] = vectors(ask(service, "hej", dimensions=3))
    assert np.allclose(short, normalised(vector("hej")[:3]), atol=1e-6)
    assert vectors(ask(service, "hej", dimensions=DIMENSIONS)).shape == (1, DIMENSIONS)


@pytest.mark.parametrize(
    ("model", "dimensions", "says"),
    [
        ("whole", 3, "not trained to be shortened"),
        ("sentences", DIMENSIONS + 1, f"at most {DIMENSIONS}"),
        ("sentences", 0, "greater than or equal to 1"),
        ("sentences", "many", "valid integer"),
    ],
)
def test_dimensions_that_cannot_be_given_are_refused_by_name(
    service: Service, model: str, dimensions: object, says: str
) -> None:
    error = problem(ask(service, "hej", model=model, dimensions=dimensions), 400)
    assert error["param"] == "dimensions"
    assert says in str(error["message"])


def test_all_dimensions_may_be_named_to_a_model_that_cannot_be_shortened(service: Service) -> None:
    assert vectors(ask(service, "hej", model="whole", dimensions=DIMENSIONS)).shape[1] == DIMENSIONS


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([], "input"),
        ([[]], None),
        (["a", 1], "input"),
        ([1.5], "input"),
        ([-1], None),
        ([256], None),
        ({"text": "a"}, "input"),
        (None, "input"),
        ("", None),
        (["a", ""], None),
        (["a"] * 1025, "input"),
    ],
)
def test_wrong_inputs_are_refused(service: Service, given: object, param: str | None) -> None:
    error = problem(ask(service, given), 400)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"nonsense": 1}, "nonsense"),
        ({"model": "digits"}, "model"),
        ({"model": 5}, "model"),
    ],
)
def test_wrong_members_are_refused_by_name(
    service: Service, members: dict[str, object], param: str
) -> None:
    assert problem(ask(service, "a", **members), 400)["param"] == param


def test_members_that_change_nothing_are_accepted(service: Service) -> None:
    assert ask(service, "a", user="someone", dimensions=None, encoding_format=None).is_success


def test_an_unknown_model_is_a_404_in_openais_words(service: Service) -> None:
    assert problem(ask(service, "a", model="ada-002"), 404)["code"] == "model_not_found"


def test_long_text_is_refused_with_the_limit_unless_it_may_be_cut(service: Service) -> None:
    error = problem(ask(service, ["ok", "a" * 33]), 400)
    assert error["code"] == "context_length_exceeded"
    assert str(error["message"]).startswith("instance 1: ")
    assert str(MAX_TOKENS) in str(error["message"])
    [cut] = vectors(ask(service, "a" * 1_000_000, truncate=True))
    assert np.allclose(cut, vector("a" * MAX_TOKENS), atol=1e-6)


@pytest.mark.parametrize("text", ["\0", "\u202eabc", "שלום", "e\u0301", "👩‍👩‍👧", " "])
def test_odd_characters_are_text_like_any_other(service: Service, text: str) -> None:
    assert np.isfinite(vectors(ask(service, text))).all()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 10_000])
def test_broken_bodies_are_400(service: Service, body: bytes) -> None:
    problem(service.client.post(PATH, content=body), 400)


def test_the_callers_time_is_kept(service: Service) -> None:
    late = service.client.post(
        PATH,
        json={"model": "sentences", "input": "a"},
        headers={"x-request-timeout-ms": "0.0001"},
    )
    assert problem(late, 504)["code"] == "deadline"


def test_the_request_is_counted_for_its_model(service: Service) -> None:
    model = service.registry.get("sentences")
    before = model.meters.requests[PATH, 200]
    ask(service, ["a", "b"])
    assert model.meters.requests[PATH, 200] == before + 1


def test_the_typed_endpoint_gives_the_same_vector_with_its_options(service: Service) -> None:
    body = {"text": ["hej", [1, 2]], "normalize": False, "dimensions": 4}
    reply = service.client.post("/v1/models/sentences/predict", json=body).json()
    first, second = reply["predictions"]
    assert (first["dimensions"], first["tokens"], second["tokens"]) == (4, 3, 2)
    assert np.allclose(second["embedding"], TABLE[[1, 2]].mean(0)[:4], atol=1e-6)
    assert np.linalg.norm(second["embedding"]) != pytest.approx(1)
