"""Several instances in one request, one of them bad: the request fails, and the error names the index.

No caller can then take a shorter list for the whole. The documented rule is the same for all tasks, forms
and dialects; what is sent beside the bad one is answered when it is sent again without it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.hostile import pictures
from tests.hostile.asking import BOUNDARY, Caller, b64, message_of, multipart
from tests.hostile.models import PAIR_MODELS, PICTURE_MODELS, TEXT_MODELS

pytestmark = pytest.mark.slow

GOOD = pictures.save(pictures.photo(), "JPEG")
BAD = {
    "cut off": (GOOD[: len(GOOD) // 2], 422),
    "no picture": (b"hello", 422),
    "too large": (pictures.refused()["bomb 6,000"], 413),
    "refused format": (pictures.refused()["GIF"], 422),
}
COUNT, WHERE = 21, (0, 13, 20)  # more than a window of the pipeline holds

Send = Callable[[Caller, str, list[bytes]], tuple[int, Any]]


def _uploaded(ask: Caller, model: str, files: list[bytes]) -> tuple[int, Any]:
    return ask.upload(f"/v1/models/{model}/predict", files)


def _listed(ask: Caller, model: str, files: list[bytes]) -> tuple[int, Any]:
    return ask.json(f"/v1/models/{model}/predict", {"image": [b64(data) for data in files]})


def _instances(ask: Caller, model: str, files: list[bytes]) -> tuple[int, Any]:
    instances = [{"b64": b64(data)} for data in files]
    return ask.json(f"/v1/models/{model}:predict", {"instances": instances})


@pytest.mark.parametrize("model", PICTURE_MODELS)
@pytest.mark.parametrize("send", [_uploaded, _listed, _instances])
def test_the_bad_picture_among_many_is_named(ask: Caller, model: str, send: Send) -> None:
    assert len(send(ask, model, [GOOD] * COUNT)[1]["predictions"]) == COUNT
    for index, (bad, expected) in zip(WHERE, list(BAD.values())[1:], strict=True):
        files = [GOOD] * COUNT
        files[index] = bad
        status, answer = send(ask, model, files)
        assert status == expected, answer
        assert message_of(answer).startswith(f"instance {index}: ")
        assert set(answer) == {"error", "code", "request_id"}, "no half of an answer"


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_picture_alone_needs_no_index(ask: Caller, bad: str) -> None:
    data, expected = BAD[bad]
    for send in (_uploaded, _listed, _instances):
        status, answer = send(ask, "digits", [data])
        assert status == expected
        assert not message_of(answer).startswith("instance")


def test_what_is_not_even_base64_is_named_too(ask: Caller) -> None:
    body = {"image": [b64(GOOD), "!!!"]}
    status, answer = ask.json("/v1/models/digits/predict", body)
    assert status == 400
    assert message_of(answer).startswith("instance 1: ")


@pytest.mark.parametrize("bad", ["", "\0" * 9, 7, None, "a" * 5000, {"deep": []}])
@pytest.mark.parametrize("model", TEXT_MODELS)
def test_the_bad_text_among_many_is_named(ask: Caller, model: str, bad: object) -> None:
    for index in WHERE:
        texts: list[object] = ["fine"] * COUNT
        texts[index] = bad
        for path, body in (
            (f"/v1/models/{model}:predict", {"instances": texts}),
            (f"/v1/models/{model}/predict", {"instances": texts}),
            (f"/v1/models/{model}/predict", {"text": texts}),
        ):
            status, answer = ask.json(path, body)
            if bad == "\0" * 9 and status == 200:
                continue  # bytes are read one by one, NUL too
            assert status == 400, answer
            if "text" not in body or isinstance(bad, str):  # else no list of texts
                assert message_of(answer).startswith(f"instance {index}: "), answer


@pytest.mark.parametrize("model", TEXT_MODELS)
def test_the_bad_text_of_an_upload_is_named(ask: Caller, model: str) -> None:
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    files = [("file", b"fine"), ("file", b"caf\xe9"), ("file", b"fine")]
    status, answer = ask.post(f"/v1/models/{model}/predict", multipart(files, {}), content_type)
    assert status == 400
    assert message_of(answer).startswith("instance 1: ")


@pytest.mark.parametrize("model", PAIR_MODELS)
def test_the_bad_pair_among_many_is_named(ask: Caller, model: str) -> None:
    first, second = PAIR_MODELS[model]
    good = {first: "Who?", second: "Ada was here."}
    for bad in ({**good, first: ""}, {**good, first: "a" * 5000}, {first: "a"}, {**good, "x": 1}):
        instances: list[object] = [good] * COUNT
        instances[13] = bad
        status, answer = ask.json(f"/v1/models/{model}:predict", {"instances": instances})
        assert status == 400, answer
        assert message_of(answer).startswith("instance 13: "), answer


@pytest.mark.parametrize(
    ("path", "body", "index"),
    [
        ("/embed", {"inputs": ["a", "b", ""]}, 2),
        ("/embed", {"inputs": ["a", "b" * 99]}, 1),
        ("/embed", {"inputs": [[1], [99_999]]}, 1),
        ("/v1/embeddings", {"model": "sentences", "input": ["a", "", "b"]}, 1),
        ("/predict", {"inputs": [["a"], [""]]}, 1),
        ("/predict", {"inputs": [["a", "b"], ["a", ""]]}, 1),
        ("/rerank", {"query": "a", "texts": ["b", "c", ""]}, 2),
    ],
)
def test_the_bad_input_is_named_in_other_dialects(
    ask: Caller, path: str, body: dict[str, object], index: int
) -> None:
    status, answer = ask.json(path, body)
    assert status == 400
    assert message_of(answer).startswith(f"instance {index}: "), answer
