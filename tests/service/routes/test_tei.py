"""TEI's routes: answers as its clients expect them, which model answers, and refusals in TEI's shape."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from httpx import Response

from models.transforms.vectors import normalised
from tests.service.bundles import digits_bundle, language_bundle, writer_bundle
from tests.service.fakes import Service, serving
from tests.service.text_bundles import TABLE, embedding_bundle, similarity_bundle


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One model of each kind that reads text."""
    repository = tmp_path_factory.mktemp("tei") / "repository"
    makers = (embedding_bundle, similarity_bundle, language_bundle, digits_bundle, writer_bundle)
    with serving([make(repository) for make in makers]) as running:
        yield running


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two sentence encoders and nothing else."""
    repository = tmp_path_factory.mktemp("twins") / "repository"
    with serving([embedding_bundle(repository, name) for name in ("one", "two")]) as running:
        yield running


def answer(response: Response) -> list[object]:
    assert response.status_code == 200, response.text
    assert response.headers["x-model-name"]
    assert response.headers["x-model-version"] == "1"
    assert response.headers["x-request-id"]
    return list(response.json())


def problem(response: Response, status: int, kind: str) -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error", "error_type", "code"}
    assert body["error_type"] == kind
    return str(body["error"])


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize(
    ("given", "count"), [("ab", 1), (["ab", "c"], 2), ([1, 2], 1), ([[1, 2], "c"], 2)]
)
def test_embed_answers_a_vector_for_each_input(service: Service, given: object, count: int) -> None:
    vectors = np.array(answer(service.client.post("/embed", json={"inputs": given})))
    assert np.allclose(np.linalg.norm(vectors, axis=1), np.ones(count))


def test_embed_keeps_the_length_when_asked_to(service: Service) -> None:
    ask = {"inputs": [[1, 2]], "normalize": False}
    assert np.allclose(answer(service.client.post("/embed", json=ask)), [TABLE[[1, 2]].mean(0)])


def test_embed_shortens_where_the_model_may_be(service: Service) -> None:
    ask = {"inputs": [[1, 2]], "dimensions": 3}
    expected = normalised(TABLE[[1, 2]].mean(0)[:3])
    assert np.allclose(answer(service.client.post("/embed", json=ask)), [expected], atol=1e-6)


def test_similarity_is_the_cosine_with_the_source(service: Service) -> None:
    sentences = ["hej", "something else", "jeh"]
    inputs = {"source_sentence": "hej", "sentences": sentences}
    found = answer(service.client.post("/similarity", json={"inputs": inputs}))
    vectors = np.array(service.client.post("/embed", json={"inputs": ["hej", *sentences]}).json())
    assert np.allclose(found, vectors[1:] @ vectors[0], atol=1e-6)
    assert found[0] == found[2] == pytest.approx(1)  # the same bytes


def test_rerank_orders_by_the_cross_encoder_best_first(service: Service) -> None:
    ask = {"query": "abc", "texts": ["a", "abcde", "abc"], "return_text": True}
    found = answer(service.client.post("/rerank", json=ask))
    assert found == [
        {"index": 1, "text": "abcde", "score": pytest.approx(sigmoid(2))},
        {"index": 2, "text": "abc", "score": pytest.approx(0.5)},
        {"index": 0, "text": "a", "score": pytest.approx(sigmoid(-2))},
    ]
    raw = answer(service.client.post("/rerank", json={**ask, "raw_scores": True}))
    assert [row["score"] for row in raw] == [2, 0, -2]  # type: ignore[index]


def test_rerank_by_a_named_encoder_orders_by_cosine(service: Service) -> None:
    ask = {"query": "abc", "texts": ["xyz", "cba"], "model": "sentences"}
    found = answer(service.client.post("/rerank", json=ask))
    assert found[0] == {"index": 1, "score": pytest.approx(1)}


def test_rerank_falls_back_to_the_only_kind_there_is(twins: Service) -> None:
    ask = {"query": "abc", "texts": ["xyz", "cba"]}
    reply = twins.client.post("/rerank?model=two", json=ask)
    assert answer(reply)[0] == {"index": 1, "score": pytest.approx(1)}
    assert reply.headers["x-model-name"] == "two"


def test_predict_gives_every_label_of_a_text_best_first(service: Service) -> None:
    single = answer(service.client.post("/predict", json={"inputs": "abcd"}))
    assert [row["label"] for row in single] == ["en", "de", "sv"]  # type: ignore[index]
    assert sum(row["score"] for row in single) == pytest.approx(1)  # type: ignore[index]
    raw = answer(service.client.post("/predict", json={"inputs": "abcd", "raw_scores": True}))
    assert [row["score"] for row in raw] == [5, 0, 0]  # type: ignore[index]


def test_predict_of_many_answers_a_list_for_each(service: Service) -> None:
    found = answer(service.client.post("/predict", json={"inputs": [["abcd"], ["abcde"]]}))
    assert [row[0]["label"] for row in found] == ["en", "sv"]  # type: ignore[index]


def test_predict_of_pairs_is_the_cross_encoders_score(service: Service) -> None:
    expected = [{"label": "LABEL_0", "score": pytest.approx(sigmoid(1))}]
    assert answer(service.client.post("/predict", json={"inputs": ["ab", "abc"]})) == expected
    many = answer(service.client.post("/predict", json={"inputs": [["ab", "abc"]] * 2}))
    assert many == [expected] * 2


def test_tokenize_shows_tokens_with_their_places(service: Service) -> None:
    ask = {"inputs": ["hi", "å"], "model": "sentences"}
    first, second = answer(service.client.post("/tokenize", json=ask))
    assert [token["text"] for token in first] == ["h", "i"]  # type: ignore[attr-defined]
    assert [(t["start"], t["stop"]) for t in first] == [(0, 1), (1, 2)]  # type: ignore[attr-defined]
    assert len(second) == 2  # type: ignore[arg-type]
    assert {"id", "text", "special", "start", "stop"} == set(first[0])  # type: ignore[index]


@pytest.mark.parametrize("name", ["sentences", "pairs", "language-id", "writer"])
def test_tokenize_reads_the_whole_text_with_any_models_tokenizer(
    service: Service, name: str
) -> None:
    [tokens] = answer(service.client.post(f"/tokenize?model={name}", json={"inputs": "a" * 500}))
    assert len(tokens) == 500  # type: ignore[arg-type]


def test_tokenize_refuses_more_than_it_can_show(service: Service) -> None:
    ask = {"inputs": ["a" * 100_001] * 2, "model": "sentences"}
    assert "200,000" in problem(service.client.post("/tokenize", json=ask), 400, "Validation")


BODIES: dict[str, dict[str, object]] = {
    "/embed": {"inputs": "a"},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
    "/rerank": {"query": "a", "texts": ["b"]},
    "/tokenize": {"inputs": "a"},
}


@pytest.mark.parametrize("path", BODIES)
def test_where_several_models_could_answer_the_candidates_are_listed(
    twins: Service, path: str
) -> None:
    said = problem(twins.client.post(path, json=BODIES[path]), 400, "Validation")
    assert "candidates: one, two" in said
    assert "?model=" in said
    for reply in (
        twins.client.post(path, json={**BODIES[path], "model": "two"}),
        twins.client.post(f"{path}?model=two", json=BODIES[path]),
    ):
        answer(reply)
        assert reply.headers["x-model-name"] == "two"


def test_a_model_that_does_other_work_is_refused_with_the_candidates(service: Service) -> None:
    ask = {"inputs": "a", "model": "digits"}
    said = problem(service.client.post("/embed", json=ask), 400, "Validation")
    assert "candidates: sentences" in said


def test_an_unknown_model_and_missing_work_are_404(service: Service, twins: Service) -> None:
    ask = {"inputs": "a", "model": "nobody"}
    problem(service.client.post("/embed", json=ask), 404, "Validation")
    said = problem(twins.client.post("/predict", json={"inputs": "a"}), 404, "Validation")
    assert "text classification" in said


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {}),
        ("/embed", {"inputs": []}),
        ("/embed", {"inputs": [1, "a"]}),
        ("/embed", {"inputs": {"a": 1}}),
        ("/embed", {"inputs": "a", "prompt_name": "query"}),
        ("/embed", {"inputs": "a", "truncation_direction": "Left"}),
        ("/embed", {"inputs": "a", "dimensions": 9}),
        ("/embed", {"inputs": ["a"] * 1025}),
        ("/embed", {"inputs": "a" * 33}),
        ("/similarity", {"inputs": "a"}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}),
        ("/rerank", {"query": "a", "texts": []}),
        ("/rerank", {"query": "a", "texts": "b"}),
        ("/rerank", {"texts": ["b"]}),
        ("/predict", {"inputs": []}),
        ("/predict", {"inputs": ["a", "b", "c"]}),
        ("/predict", {"inputs": [["a"], ["b", "c"]]}),
        ("/predict", {"inputs": [[]]}),
        ("/tokenize", {"inputs": [], "model": "sentences"}),
        ("/tokenize", {"inputs": [1], "model": "sentences"}),
    ],
)
def test_wrong_requests_are_refused(service: Service, path: str, body: object) -> None:
    problem(service.client.post(path, json=body), 400, "Validation")


@pytest.mark.parametrize("path", ["/embed", "/similarity", "/rerank", "/predict", "/tokenize"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 10_000])
def test_broken_bodies_are_400(service: Service, path: str, body: bytes) -> None:
    problem(service.client.post(path, content=body), 400, "Validation")


def test_an_empty_text_has_its_own_word(service: Service) -> None:
    problem(service.client.post("/embed", json={"inputs": ""}), 400, "Empty")


def test_one_bad_text_among_many_is_named(service: Service) -> None:
    said = problem(
        service.client.post("/embed", json={"inputs": ["ok", "a" * 33]}), 400, "Validation"
    )
    assert said.startswith("instance 1: ")


def test_too_long_texts_are_cut_when_asked(service: Service) -> None:
    long = "a" * 1_000_000
    for path, body in (
        ("/embed", {"inputs": long}),
        ("/rerank", {"query": long, "texts": [long]}),
        ("/predict", {"inputs": long}),
        ("/similarity", {"inputs": {"source_sentence": long, "sentences": [long]}}),
    ):
        answer(service.client.post(path, json={**body, "truncate": True}))


@pytest.mark.parametrize("path", [*BODIES, "/predict"])
def test_the_callers_time_is_kept(service: Service, path: str) -> None:
    body = {**BODIES.get(path, {"inputs": "a"})}
    if path == "/tokenize":
        body["model"] = "sentences"
    late = service.client.post(path, json=body, headers={"x-request-timeout-ms": "0.0001"})
    problem(late, 504, "Backend")


def test_what_was_computed_stands_in_teis_headers(service: Service) -> None:
    headers = service.client.post("/embed", json={"inputs": ["ab", "c"]}).headers
    assert (headers["x-compute-characters"], headers["x-compute-tokens"]) == ("3", "3")
    assert int(headers["x-total-time"]) >= 0
    assert "queue" in headers["server-timing"]


def test_the_request_is_counted_for_its_model(service: Service) -> None:
    model = service.registry.get("pairs")
    before = model.meters.requests["/rerank", 200]
    service.client.post("/rerank", json=BODIES["/rerank"])
    assert model.meters.requests["/rerank", 200] == before + 1


def test_the_typed_endpoint_takes_a_pair_in_several_forms(service: Service) -> None:
    pair = {"text": "ab", "text_pair": "abcd"}
    for body in (pair, {"pair": pair}, {"pair": [pair]}, {"instances": [pair]}):
        reply = service.client.post("/v1/models/pairs/predict", json=body).json()
        assert reply["predictions"] == [{"score": pytest.approx(sigmoid(2)), "tokens": 6}]
    raw = service.client.post("/v1/models/pairs/predict", json={**pair, "raw_scores": True})
    assert raw.json()["predictions"][0]["score"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"text": "ab"},
        {"text": "ab", "text_pair": 3},
        {"pair": ["a", "b"]},
        {"text": "ab", "text_pair": ""},
        {"text": "ab", "text_pair": "b", "nonsense": 1},
        {"text": "a" * 40, "text_pair": "b" * 40},
    ],
)
def test_a_wrong_pair_is_refused(service: Service, body: object) -> None:
    assert service.client.post("/v1/models/pairs/predict", json=body).status_code == 400
