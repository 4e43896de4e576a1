"""Every file that calls itself a picture, to every task that reads pictures, in every form: 200 or 4xx.

What else an answer must be like says `asking`; that the server is unharmed, the fixture `ask`.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.hostile import pictures
from tests.hostile.asking import Caller, b64, message_of
from tests.hostile.models import PICTURE_MODELS

pytestmark = pytest.mark.slow

Answer = tuple[int, Any]


def _raw(ask: Caller, model: str, data: bytes) -> Answer:
    return ask.post(f"/v1/models/{model}/predict", data, _media_type(data))


def _media_type(data: bytes) -> str:
    """What a browser would say it is; for all else one of those that are read."""
    if data.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/webp" if data.startswith(b"RIFF") else "image/png"


def _uploaded(ask: Caller, model: str, data: bytes) -> Answer:
    return ask.upload(f"/v1/models/{model}/predict", [data])


def _json(ask: Caller, model: str, data: bytes) -> Answer:
    return ask.json(f"/v1/models/{model}/predict", {"image": b64(data)})


def _instance(ask: Caller, model: str, data: bytes) -> Answer:
    return ask.json(f"/v1/models/{model}:predict", {"instances": [{"b64": b64(data)}]})


FORMS: tuple[Callable[[Caller, str, bytes], Answer], ...] = (_raw, _uploaded, _json, _instance)


@pytest.mark.parametrize("model", PICTURE_MODELS)
@pytest.mark.parametrize("form", FORMS)
def test_pictures_as_people_send_them_are_answered(
    ask: Caller, model: str, form: Callable[[Caller, str, bytes], Answer]
) -> None:
    for name, data in pictures.sound().items():
        status, answer = form(ask, model, data)
        assert status == 200, (name, answer)
        assert len(answer["predictions"]) == 1


@pytest.mark.parametrize("model", PICTURE_MODELS)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_picture_or_too_much_is_refused_with_a_reason(
    ask: Caller, model: str, form: Callable[[Caller, str, bytes], Answer]
) -> None:
    for name, data in pictures.refused().items():
        status, answer = form(ask, model, data)
        assert status in (400, 413, 422), (name, answer)
        reason = message_of(answer)
        assert "pixels" in reason if name.startswith("bomb 6,") else reason


@pytest.mark.parametrize("model", PICTURE_MODELS)
def test_no_damage_to_a_file_is_our_fault(ask: Caller, model: str) -> None:
    """Every file to every task; over all tasks, in every form."""
    first, seen = PICTURE_MODELS.index(model), set()
    for number, (_, data) in enumerate(pictures.unclear().items()):
        seen.add(FORMS[(first + number) % len(FORMS)](ask, model, data)[0])
    assert seen == {200, 413, 422}


@pytest.mark.parametrize("model", PICTURE_MODELS)
@pytest.mark.parametrize(
    "media_type",
    [
        "image/gif",
        "image/svg+xml",
        "image/*",
        "text/plain",
        "text/html",
        "application/pdf",
        "application/x-www-form-urlencoded",
        "multipart/mixed",
        "",
        ";",
    ],
)
def test_a_content_type_that_is_not_read_is_refused(
    ask: Caller, model: str, media_type: str
) -> None:
    data = pictures.sound()["png"]
    status, answer = ask.post(f"/v1/models/{model}/predict", data, media_type)
    assert status in (400, 415), answer


@pytest.mark.parametrize("told", ["image/jpeg", "image/webp", "application/octet-stream"])
def test_a_picture_under_another_pictures_name_is_read_for_what_it_is(
    ask: Caller, told: str
) -> None:
    for model in PICTURE_MODELS:
        assert ask.post(f"/v1/models/{model}/predict", pictures.sound()["png"], told)[0] == 200


def _pair(other: bytes) -> dict[str, object]:
    return {"image": {"image": b64(pictures.sound()["png"]), "compare_with": b64(other)}}


def test_the_bad_picture_of_two_to_compare_is_named(ask: Caller) -> None:
    path = "/v1/models/image-embedding/predict"
    assert ask.json(path, _pair(pictures.sound()["jpeg cmyk"]))[0] == 200
    for data in list(pictures.refused().values())[::3]:
        status, answer = ask.json(path, _pair(data))
        assert status in (400, 413, 422)
        assert not data or message_of(answer).startswith("compare_with: ")
