"""Whatever text comes, to every task and in every dialect that reads text: 200, or 4xx with a reason."""

import base64
import json
import unicodedata
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.hostile.asking import Caller, message_of
from tests.hostile.models import PAIR_MODELS, TEXT_MODELS

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
LONG = "a" * MEGABYTE

ODD = {
    "nothing": "",
    "spaces": " \t\n\u00a0\u2003",
    "NUL": "\0",
    "NUL inside": "Ada \0was here",
    "byte order mark": "\ufeffAda",
    "right to left": "مرحبا بالعالم \u202eabc\u202c",
    "one letter, a megabyte": LONG,
    "spaces, a megabyte": " " * MEGABYTE,
    "combining marks": "e" + "\u0301" * 5000,
    "both normal forms": "e\u0301\u00e9 \ufb01 \u212b \u1e9b\u0323 \uac00\u1100\u1161",
    "letters that grow": "\u0130\ufb03\ufdfa" * 4,
    "emoji": "👩‍👩‍👧 🇩🇪 ❤\ufe0f",
    "unassigned": "\ue000\U0010ffff\u0378\ufffe",
    "control characters": "".join(map(chr, range(32))),
    "terminal": "\x1b[31m\x1b]0;x\x07",
    "format strings": "%s%n{0.__class__}${jndi:ldap://127.0.0.1/a}",
    "special tokens in words": "[CLS] [SEP] [PAD] <s> </s>",
}


def bodies(model: str, text: str) -> list[dict[str, object]]:
    """The text in each part that the model reads."""
    if model in TEXT_MODELS:
        return [{"text": text}]
    return [
        {part: text if part == hurt else "Who was here?" for part in PAIR_MODELS[model]}
        for hurt in PAIR_MODELS[model]
    ]


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("model", [*TEXT_MODELS, *PAIR_MODELS])
def test_an_odd_text_is_answered_or_refused(ask: Caller, model: str, text: str) -> None:
    for body in bodies(model, text):
        for truncate in (False, True):
            status, _ = ask.json(f"/v1/models/{model}/predict", {**body, "truncate": truncate})
            assert status in (200, 400)
        instance = body["text"] if model in TEXT_MODELS else body
        assert ask.json(f"/v1/models/{model}:predict", {"instances": [instance]})[0] in (200, 400)


DIALECTS: dict[str, Any] = {
    "/embed": lambda text: {"inputs": text},
    "/embed of many": lambda text: {"inputs": ["fine", text]},
    "/rerank": lambda text: {"query": "fine", "texts": [text]},
    "/rerank of query": lambda text: {"query": text, "texts": ["fine"]},
    "/predict": lambda text: {"inputs": text},
    "/predict of pairs": lambda text: {"inputs": [["fine", text]]},
    "/similarity": lambda text: {"inputs": {"source_sentence": "fine", "sentences": [text]}},
    "/tokenize": lambda text: {"inputs": text, "model": "entities"},
    "/v1/embeddings": lambda text: {"input": text, "model": "sentences"},
    "/v1/embeddings of many": lambda text: {"input": ["fine", text], "model": "sentences"},
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_odd_text_is_answered_or_refused_in_other_dialects(
    ask: Caller, dialect: str, text: str
) -> None:
    body = DIALECTS[dialect](text)
    for truncating in ({}, {"truncate": True}):
        if "/tokenize" not in dialect:
            status, _ = ask.json(dialect.partition(" ")[0], {**body, **truncating})
        else:
            status, _ = ask.json(dialect, body)
        assert status in (200, 400)


def no_unicode(document: object) -> bytes:
    """JSON can say half a surrogate pair, which is no character."""
    return json.dumps(document).replace("HALF", "\\ud800").encode()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_half_a_surrogate_pair_is_refused_everywhere(ask: Caller, dialect: str) -> None:
    path, body = dialect.partition(" ")[0], no_unicode(DIALECTS[dialect]("a HALF b"))
    assert ask.post(path, body, "application/json")[0] == 400


@pytest.mark.parametrize("model", [*TEXT_MODELS, *PAIR_MODELS])
def test_half_a_surrogate_pair_is_refused_by_every_task(ask: Caller, model: str) -> None:
    for body in bodies(model, "a HALF b"):
        reply = ask.post(f"/v1/models/{model}/predict", no_unicode(body), "application/json")
        assert reply[0] == 400


LIMITS = {
    "language-id": 32, "sentences": 32, "entities": 200, "translator": 80, "pairs": 64, "answers": 64,
}  # fmt: skip


@pytest.mark.parametrize("model", LIMITS)
def test_what_is_too_long_is_refused_with_the_limit_and_cut_only_when_asked(
    ask: Caller, model: str
) -> None:
    text = LONG if model == "answers" else "good words " * 40
    for body in bodies(model, text):
        status, answer = ask.json(f"/v1/models/{model}/predict", body)
        assert (status, answer["code"]) == (400, "text_too_long")
        assert f"{LIMITS[model]} " in message_of(answer)
        cut, answer = ask.json(f"/v1/models/{model}/predict", {**body, "truncate": True})
        if model == "answers" and body["question"] == text:
            assert cut == 400, "a question is never cut: nothing would be left to answer"
        else:
            assert cut == 200, answer


ENTITY_TEXTS = {
    "composed": unicodedata.normalize("NFC", "Éva à Århus"),
    "decomposed": unicodedata.normalize("NFD", "Éva à Århus"),
    "right to left": "שלום עולם, مرحبا",
    "outside the first plane": "👩‍👧 Ada 𝔅erlin 𠀋",
    "NUL": "Ada\0in\0London",
    "control": "Ada\u202e in \u200dLondon",
    "grown by folding": "İstanbul ﬃ ﷺ",
}


@pytest.mark.parametrize("text", ENTITY_TEXTS.values(), ids=ENTITY_TEXTS)
def test_offsets_count_the_characters_of_the_text_as_it_was_sent(ask: Caller, text: str) -> None:
    path = "/v1/models/entities/predict"
    status, answer = ask.json(path, {"text": text, "include_tokens": True})
    assert status == 200, answer
    [found] = answer["predictions"]
    assert found["tokens"]
    for one in [*found["tokens"], *found["entities"]]:
        assert text[one["start"] : one["end"]] == one["text"] != ""
    places = [(one["start"], one["end"]) for one in found["tokens"]]
    assert places == sorted(places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))


@pytest.mark.parametrize("text", ENTITY_TEXTS.values(), ids=ENTITY_TEXTS)
def test_an_answer_is_exactly_what_stands_at_its_place(ask: Caller, text: str) -> None:
    body = {"question": "Wo?", "context": text, "top_k": 5, "no_answer_threshold": 1000}
    status, answer = ask.json("/v1/models/answers/predict", body)
    assert status == 200, answer
    [found] = answer["predictions"]
    assert found["answers"]
    for one in found["answers"]:
        assert text[one["start"] : one["end"]] == one["answer"]


@pytest.mark.parametrize("text", ENTITY_TEXTS.values(), ids=ENTITY_TEXTS)
def test_tokens_are_shown_with_their_places(ask: Caller, text: str) -> None:
    status, answer = ask.json("/tokenize", {"inputs": text, "model": "entities"})
    assert status == 200
    for token in answer[0]:
        assert text[token["start"] : token["stop"]] == token["text"]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": -1}, "dimensions"),
        ({"dimensions": 10**30}, "dimensions"),
        ({"dimensions": 1.5}, "dimensions"),
        ({"dimensions": "many"}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": 7}, "encoding_format"),
        ({"truncate": "maybe"}, "truncate"),
        ({"nonsense": 1}, "nonsense"),
        ({"input": {"a": 1}}, "input"),
        ({"input": []}, "input"),
        ({"input": [[1, 10**30]]}, "input"),
    ],
)
def test_wrong_members_of_an_embedding_request_are_named(
    ask: Caller, members: dict[str, object], param: str | None
) -> None:
    status, answer = ask.json("/v1/embeddings", {"model": "sentences", "input": "a", **members})
    assert status == 400
    assert answer["error"]["param"] == param


def test_base64_and_numbers_are_the_same_vector(ask: Caller) -> None:
    body = {"model": "sentences", "input": ODD["both normal forms"], "truncate": True}
    numbers, coded = (
        ask.json("/v1/embeddings", {**body, "encoding_format": kind})[1]["data"][0]["embedding"]
        for kind in ("float", "base64")
    )
    found = np.frombuffer(base64.b64decode(coded), "<f4")
    assert np.array_equal(found, np.asarray(numbers, np.float32))


@pytest.mark.parametrize("model", TEXT_MODELS)
@pytest.mark.parametrize("body", [b"caf\xe9", b"\xff\xfeA\0", b"\xed\xa0\x80", b"\xc0\x80"])
def test_a_raw_text_that_is_not_utf_8_is_refused(ask: Caller, model: str, body: bytes) -> None:
    status, answer = ask.post(f"/v1/models/{model}/predict", body, "text/plain")
    assert status == 400
    assert "UTF-8" in message_of(answer)
