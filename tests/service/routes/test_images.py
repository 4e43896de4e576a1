import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Response
from openai import BadRequestError, OpenAI
from PIL import Image

from tests.service.bundles import diffuser_bundle, painter_bundle
from tests.service.fakes import Service, serving

PATH = "/v1/images/generations"


def ask(service: Service, **members: object) -> Response:
    return service.client.post(PATH, json={"model": "painter", "prompt": "3", **members})


def test_pictures_come_as_base64_png_with_the_seed_that_draws_them_again(service: Service) -> None:
    body = ask(service, n=3, size="64x64").json()
    assert set(body) == {"created", "data"}
    pictures = [Image.open(io.BytesIO(base64.b64decode(one["b64_json"]))) for one in body["data"]]
    assert [picture.size for picture in pictures] == [(64, 64)] * 3
    again = ask(service, n=3, size="64x64", seed=body["data"][0]["seed"]).json()
    assert again["data"] == body["data"]


def test_the_same_seed_draws_the_same_and_n_pictures_differ(service: Service) -> None:
    first, second = ask(service, seed=7, n=3).json(), ask(service, seed=7, n=2).json()
    assert first["data"][:2] == second["data"]
    assert len({one["b64_json"] for one in first["data"]}) == 3


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"response_format": "url"}, "response_format"),
        ({"output_format": "webp"}, "output_format"),
        ({"n": 17}, "n"),
        ({"n": 0}, "n"),
        ({"n": "x"}, "n"),
        ({"size": "9x9"}, None),
        ({"n": 10**9}, "n"),
        ({"n": 2, "stream": True}, "n"),
        ({"partial_images": 1}, "partial_images"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"progress_every": 0, "stream": True}, "progress_every"),
        ({"seed": 2**53}, "seed"),
        ({"steps": 5}, "steps"),
        ({"guidance_scale": 2.0}, "guidance_scale"),
        ({"seed": -1}, "seed"),
        ({"prompt": "cat"}, None),
        ({"prompt": 3}, "prompt"),
        ({"model": "digits"}, "model"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_wrong_members_are_refused_by_name(
    service: Service, members: dict[str, object], param: str | None
) -> None:
    response = ask(service, **members)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert ask(service, response_format="b64_json", user="someone").status_code == 200


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": -1}, "steps"),
        ({"steps": 51}, "steps"),
        ({"steps": 10**9}, "steps"),
        ({"steps": 1e9}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"guidance_scale": -0.1}, "guidance_scale"),
        ({"guidance_scale": 20.5}, "guidance_scale"),
        ({"guidance_scale": "high"}, "guidance_scale"),
        ({"sampler": "best"}, "sampler"),
        ({"seed": 2**64}, "seed"),
        ({"prompt": "eleven"}, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_diffusion_models_own_members_are_checked_before_it_draws(
    painters: Service, members: dict[str, object], param: str | None, stream: bool
) -> None:
    response = ask(painters, **{"model": "diffuser", "stream": stream, **members})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400"])
def test_a_guidance_that_is_no_number_is_refused(painters: Service, number: str) -> None:
    body = f'{{"model": "diffuser", "prompt": "3", "guidance_scale": {number}}}'
    response = painters.client.post(
        PATH, content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert "error" in response.json()


@pytest.fixture(scope="module")
def painters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    repository = tmp_path_factory.mktemp("painters") / "repository"
    with serving([painter_bundle(repository), diffuser_bundle(repository)]) as running:
        yield running


def events_of(response: Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.strip().split("\n\n"):
        kind, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert found[-1]["type"] == kind.removeprefix("event: ")
    return found


def test_a_diffusion_model_draws_like_any_other(painters: Service) -> None:
    first = ask(painters, model="diffuser", seed=7, n=3).json()["data"]
    assert ask(painters, model="diffuser", seed=7, n=2).json()["data"] == first[:2]
    assert len({one["b64_json"] for one in first}) == 3
    assert [one["revised_prompt"] for one in first] == ["3"] * 3
    other = ask(painters, model="diffuser", seed=7, steps=9).json()["data"]
    assert other[0]["b64_json"] != first[0]["b64_json"]
    strong = ask(painters, model="diffuser", seed=7, guidance_scale=0).json()["data"]
    assert strong[0]["b64_json"] != first[0]["b64_json"]


def test_a_stream_tells_progress_and_previews_and_ends_with_the_picture(painters: Service) -> None:
    given = {"model": "diffuser", "seed": 7, "steps": 8}
    whole = ask(painters, **given).json()["data"][0]
    reply = ask(painters, **given, stream=True, partial_images=3, progress_every=4)
    events = events_of(reply)
    kinds = [event["type"].removeprefix("image_generation.") for event in events]
    assert kinds == [
        "partial_image", "progress", "partial_image", "partial_image", "progress", "completed"
    ]  # fmt: skip
    assert [event["step"] for event in events if "step" in event] == [4, 8]
    previews = [event for event in events if "partial_image_index" in event]
    assert [event["partial_image_index"] for event in previews] == [0, 1, 2]
    assert events[-1]["b64_json"] == whole["b64_json"]
    assert events[-1]["seed"] == 7
    assert events[-1]["size"] == "32x32"


def test_a_stream_of_a_model_that_draws_at_once_is_the_picture(painters: Service) -> None:
    [event] = events_of(ask(painters, seed=3, stream=True, partial_images=2))
    assert event["type"] == "image_generation.completed"
    assert event["b64_json"] == ask(painters, seed=3).json()["data"][0]["b64_json"]


def test_the_openai_client_reads_answers_streams_and_errors(painters: Service) -> None:
    client = OpenAI(
        base_url="http://testserver/v1", api_key="none", http_client=painters.client, max_retries=0
    )
    extra = {"seed": 7, "steps": 8}
    answer = client.images.generate(
        model="diffuser", prompt="3", n=2, size="64x64", extra_body=extra
    )
    assert answer.data is not None
    picture = Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json or "")))
    assert picture.size == (64, 64)
    events = client.images.generate(
        model="diffuser", prompt="3", size="64x64", stream=True, partial_images=2, extra_body=extra
    )
    kinds = []
    for event in events:
        kinds.append(event.type)
        last = event
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert last.type == "image_generation.completed"
    assert last.b64_json == answer.data[0].b64_json
    assert last.usage.total_tokens == 0
    with pytest.raises(BadRequestError, match="name of a class"):
        client.images.generate(model="diffuser", prompt="a cat on a roof")


def test_an_unknown_model_is_a_404(service: Service) -> None:
    assert ask(service, model="nobody").status_code == 404
