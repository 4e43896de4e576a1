import base64
import io

import pytest
from httpx import Response
from PIL import Image

from tests.service.fakes import Service

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


def test_an_unknown_model_is_a_404(service: Service) -> None:
    assert ask(service, model="nobody").status_code == 404
