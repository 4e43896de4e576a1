"""Typed prediction over HTTP: every form of asking, and every rude way of asking."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.service.fakes import Service

DIGITS, LANGUAGES = "/v1/models/digits/predict", "/v1/models/language-id/predict"


def picture(points: int, size: int = 8, kind: str = "PNG") -> bytes:
    """A picture with `points` white pixels, which the fake model answers with that digit."""
    pixels = np.zeros(size * size, np.uint8)
    pixels[:points] = 255
    out = io.BytesIO()
    Image.fromarray(pixels.reshape(size, size)).save(out, format=kind, lossless=True)
    return out.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def best(response: Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [one["label"] for one in response.json()["predictions"]]


def refused(response: Response, status: int, code: str) -> str:
    """The error's text, after checking its shape."""
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), response.text
    assert set(body) == {"error", "code", "request_id"}
    assert body["request_id"] == response.headers["x-request-id"]
    return str(body["error"])


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "image/png"), ("WEBP", "image/webp")])
def test_a_raw_picture_is_answered_with_labels(
    service: Service, kind: str, media_type: str
) -> None:
    response = service.client.post(
        DIGITS, content=picture(7, kind=kind), headers={"content-type": media_type}
    )
    assert best(response) == ["7"]
    body = response.json()
    assert (body["model_name"], body["model_version"]) == ("digits", "1")
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["predictions"][0]["labels"][0]["label"] == "7"


def test_server_timing_names_the_stages(service: Service) -> None:
    response = service.client.post(LANGUAGES, json={"text": "hej"})
    names = [part.split(";")[0].strip() for part in response.headers["server-timing"].split(",")]
    assert names == ["preprocess", "queue", "infer", "postprocess", "total"]


def test_options_come_in_the_query_of_a_raw_picture(service: Service) -> None:
    response = service.client.post(
        f"{DIGITS}?top_k=2", content=picture(3), headers={"content-type": "image/png"}
    )
    assert len(response.json()["predictions"][0]["labels"]) == 2


def test_many_files_are_answered_in_order(service: Service) -> None:
    files = [("file", (f"{n}.png", picture(n), "image/png")) for n in (5, 1, 8, 0, 3, 9, 2)]
    response = service.client.post(DIGITS, files=files, data={"top_k": "1"})
    assert best(response) == ["5", "1", "8", "0", "3", "9", "2"]
    assert all(len(one["labels"]) == 1 for one in response.json()["predictions"])


@pytest.mark.parametrize(
    "body",
    [
        {"image": b64(picture(4))},
        {"image": [b64(picture(4))]},
        {"image": {"b64": b64(picture(4))}},
        {"instances": [{"b64": b64(picture(4))}]},
        {"instances": [b64(picture(4))], "parameters": {"top_k": 1}},
        {"image": f"data:image/png;base64,{b64(picture(4))}", "top_k": 1},
    ],
)
def test_a_picture_in_json_is_read_in_every_form(service: Service, body: dict[str, object]) -> None:
    assert best(service.client.post(DIGITS, json=body)) == ["4"]


def test_pixels_may_be_sent_as_numbers(service: Service) -> None:
    pixels = np.zeros((1, 8, 8))
    pixels[0, 0, :6] = 1
    assert best(service.client.post(DIGITS, json={"instances": [pixels.tolist()]})) == ["6"]


def test_text_is_read_raw_single_and_as_a_list(service: Service) -> None:
    raw = service.client.post(
        LANGUAGES, content=b"hejsan", headers={"content-type": "text/plain; charset=utf-8"}
    )
    assert best(raw) == ["de"]  # six tokens: class 0
    assert best(service.client.post(LANGUAGES, json={"text": "hej!"})) == ["en"]
    assert best(service.client.post(LANGUAGES, json={"text": ["hej!", "hejsan"]})) == ["en", "de"]


def test_a_versioned_path_reaches_that_version(service: Service) -> None:
    path = "/v1/models/language-id/versions/1/predict"
    assert service.client.post(path, json={"text": "hej"}).json()["model_version"] == "1"


def test_v1_takes_instances_and_parameters(service: Service) -> None:
    body = {"signature_name": "serving_default", "instances": ["hej!", {"text": "hejsan"}]}
    for path in ("/v1/models/language-id:predict", "/v1/models/language-id/versions/1:predict"):
        response = service.client.post(path, json={**body, "parameters": {"top_k": 1}})
        assert best(response) == ["en", "de"]
    numbers = service.client.post(
        "/v1/models/double:predict", json={"instances": [[1, 2, 3], {"x": [4, 5, 6]}]}
    )
    assert numbers.json()["predictions"] == [[2, 4, 6], [8, 10, 12]]


def test_a_prompt_is_continued(service: Service) -> None:
    body = {"prompt": "def", "max_tokens": 20, "seed": 0, "stop": "\n"}
    answer = service.client.post("/v1/models/writer/predict", json=body).json()["predictions"][0]
    assert answer == {
        "text": "x = 1",
        "finish_reason": "stop",
        "prompt_tokens": 3,
        "completion_tokens": 6,
    }


def test_a_class_is_drawn_and_the_same_seed_draws_it_again(service: Service) -> None:
    def draw(seed: int) -> dict[str, object]:
        body = {"prompt": "5", "seed": seed}
        answer = service.client.post("/v1/models/painter/predict", json=body).json()
        return dict(answer["predictions"][0])

    assert draw(1) == draw(1)
    assert draw(1)["image"] != draw(2)["image"]
    drawn = Image.open(io.BytesIO(base64.b64decode(str(draw(1)["image"]))))
    assert drawn.size == (32, 32)


def test_more_instances_than_a_batch_holds_are_all_answered(service: Service) -> None:
    texts = ["a" * (1 + n % 9) for n in range(100)]
    labels = best(service.client.post(LANGUAGES, json={"text": texts}))
    assert labels == [["de", "en", "sv"][len(text) % 3] for text in texts]


def test_one_bad_instance_fails_the_request_and_is_named(service: Service) -> None:
    files = [("file", picture(1)), ("file", picture(2)), ("file", b"no picture")]
    refused_text = refused(service.client.post(DIGITS, files=files), 422, "undecodable_image")
    assert refused_text.startswith("instance 2: ")
    body = {"text": ["hej"] * 20 + ["a" * 100]}
    text = refused(service.client.post(LANGUAGES, json=body), 400, "text_too_long")
    assert text.startswith("instance 20: ")
    body = {"instances": ["hej", 7]}
    assert refused(service.client.post(LANGUAGES, json=body), 400, "bad_input").startswith(
        "instance 1: "
    )


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/models/nobody/predict", 404, "unknown_model"),
        ("/v1/models/digits/versions/2/predict", 404, "unknown_model"),
        ("/v1/models/digits/versions/one/predict", 404, "unknown_model"),
        ("/v1/models/digits/versions/01/predict", 404, "unknown_model"),
        ("/v1/models/nobody:predict", 404, "unknown_model"),
        ("/v1/models/digits/predict/more", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_a_404(service: Service, path: str, status: int, code: str) -> None:
    refused(service.client.post(path, json={"instances": []}), status, code)


def test_get_is_not_how_to_predict(service: Service) -> None:
    response = service.client.get(DIGITS)
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        (DIGITS, "image/gif", b"GIF89a"),
        (DIGITS, "application/x-www-form-urlencoded", b'{"image": "x"}'),
        (DIGITS, "text/plain", b"hello"),
        (LANGUAGES, "image/png", picture(1)),
        (LANGUAGES, "application/json; charset=latin-1", b'{"text": "x"}'),
        ("/v1/models/double/predict", "application/octet-stream", b"\0\0"),
        ("/v1/models/double/predict", "text/plain", b"1"),
        (DIGITS, "", b""),
        (DIGITS, "\xff\xfe/é;;;=", b""),
    ],
)
def test_a_content_type_that_is_not_read_is_a_415(
    service: Service, path: str, content_type: str, body: bytes
) -> None:
    headers = {"content-type": content_type.encode("latin-1")}
    refused(service.client.post(path, content=body, headers=headers), 415, "unsupported_media_type")


def test_a_compressed_body_is_not_taken_for_json(service: Service) -> None:
    headers = {"content-type": "application/json", "content-encoding": "br"}
    response = service.client.post(LANGUAGES, content=b"\x8b\x00", headers=headers)
    refused(response, 415, "unsupported_media_type")


BROKEN_JSON = [
    b"", b"{", b"nul", b"\xff\xfe{}", b'{"text": "\xff"}', b'{"text": NaN}', b"[" * 100_000,
    b'{"text": ' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"text": "\\ud800"}', b'{"a": ' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN_JSON, ids=range(len(BROKEN_JSON)))
@pytest.mark.parametrize("path", [LANGUAGES, "/v1/models/language-id:predict"])
def test_broken_json_is_a_400(service: Service, path: str, body: bytes) -> None:
    response = service.client.post(path, content=body, headers={"content-type": "application/json"})
    refused(response, 400, "bad_json")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (LANGUAGES, []),
        (LANGUAGES, None),
        (LANGUAGES, "hej"),
        (LANGUAGES, {}),
        (LANGUAGES, {"txt": "hej"}),
        (LANGUAGES, {"text": "hej", "instances": ["hej"]}),
        (LANGUAGES, {"text": []}),
        (LANGUAGES, {"instances": []}),
        (LANGUAGES, {"instances": "hej"}),
        (LANGUAGES, {"instances": {"text": "hej"}}),
        (LANGUAGES, {"text": None}),
        (LANGUAGES, {"text": 7}),
        (LANGUAGES, {"text": ""}),
        (LANGUAGES, {"text": "a" * 33}),
        (LANGUAGES, {"text": "a" * 1_000_000}),
        (LANGUAGES, {"text": ["a"] * 1025}),
        (LANGUAGES, {"text": "hej", "top_k": 0}),
        (LANGUAGES, {"text": "hej", "top_k": "many"}),
        (LANGUAGES, {"text": "hej", "top_k": {"deep": [1]}}),
        (LANGUAGES, {"text": "hej", "nonsense": 1}),
        (LANGUAGES, {"text": "hej", "parameters": []}),
        (DIGITS, {"image": "!!!"}),
        (DIGITS, {"image": {"url": "http://127.0.0.1/"}}),
        (DIGITS, {"image": [[1, 2], [3]]}),
        (DIGITS, {"image": [[1e39] * 64]}),
        ("/v1/models/writer/predict", {"prompt": ""}),
        ("/v1/models/writer/predict", {"prompt": "a" * 64}),
        ("/v1/models/writer/predict", {"prompt": "a" * 3_000_000}),
        ("/v1/models/writer/predict", {"prompt": "a", "max_tokens": -1}),
        ("/v1/models/writer/predict", {"prompt": "a", "temperature": 1e300}),
        ("/v1/models/painter/predict", {"prompt": "ten"}),
        ("/v1/models/painter/predict", {"prompt": "1", "size": "1x1"}),
        ("/v1/models/painter/predict", {"prompt": "1", "seed": -1}),
        ("/v1/models/double/predict", {"inputs": [1, 2]}),
        ("/v1/models/double/predict", {"inputs": {"z": [1, 2, 3]}}),
        ("/v1/models/double:predict", {"instances": [[1, 2, 3]], "inputs": []}),
    ],
)
def test_what_breaks_the_endpoints_rules_is_a_400(
    service: Service, path: str, body: object
) -> None:
    response = service.client.post(path, json=body)
    assert response.status_code == 400, response.text
    assert len(response.json()["error"]) < 400


def _png_claiming(width: int, height: int) -> bytes:
    """A few bytes that announce a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(6000, 6000), (50_000, 50_000), (2**31 - 1, 1)])
def test_a_bomb_is_too_large_before_it_is_decoded(service: Service, size: tuple[int, int]) -> None:
    response = service.client.post(
        DIGITS, content=_png_claiming(*size), headers={"content-type": "image/png"}
    )
    assert response.status_code in (413, 422)
    if size == (6000, 6000):
        refused(response, 413, "image_too_large")


def test_a_body_beyond_the_limit_is_a_413(service: Service) -> None:
    response = service.client.post(
        DIGITS, content=b"\0" * (5 << 20), headers={"content-type": "image/png"}
    )
    refused(response, 413, "body_too_large")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_picture_is_read(service: Service, mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (20, 10)).save(out, format="PNG")
    response = service.client.post(
        DIGITS, content=out.getvalue(), headers={"content-type": "image/png"}
    )
    assert response.status_code == 200


def _damaged(original: bytes) -> st.SearchStrategy[bytes]:
    cut = st.integers(0, len(original)).map(lambda end: original[:end])
    flip = st.tuples(st.integers(0, len(original) - 1), st.integers(1, 255)).map(
        lambda at: original[: at[0]] + bytes([original[at[0]] ^ at[1]]) + original[at[0] + 1 :]
    )
    return cut | flip | st.binary(max_size=64)


QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICK
@given(
    data=_damaged(picture(5, 16))
    | _damaged(picture(5, 16, "WEBP"))
    | _damaged(picture(5, 16, "JPEG"))
)
def test_no_damaged_picture_is_our_fault(service: Service, data: bytes) -> None:
    response = service.client.post(DIGITS, content=data, headers={"content-type": "image/png"})
    assert response.status_code in (200, 413, 422)


@QUICK
@given(text=st.text(max_size=40))
def test_no_text_is_our_fault(service: Service, text: str) -> None:
    response = service.client.post(LANGUAGES, content=json.dumps({"text": text}))
    assert response.status_code in (200, 400)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@QUICK
@given(
    value=JSON_VALUES,
    field=st.sampled_from(["text", "image", "prompt", "inputs", "instances", "parameters"]),
    model=st.sampled_from(["digits", "language-id", "writer", "painter", "double"]),
    tail=st.sampled_from(["/predict", ":predict"]),
)
def test_no_json_is_our_fault(
    service: Service, value: object, field: str, model: str, tail: str
) -> None:
    body = json.dumps({field: value})
    response = service.client.post(f"/v1/models/{model}{tail}", content=body)
    assert response.status_code in (200, 400, 413, 422), response.text


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "\u202eevil",
        "שלום עולם",
        "\ufeff",
        "👩‍👩‍👧‍👦",
        "a\u0300" * 5,
        "\x1b[31m",
        "%s%n",
        "'; --",
    ],
)
def test_odd_text_is_text(service: Service, text: str) -> None:
    assert service.client.post(LANGUAGES, json={"text": text}).status_code == 200


# Starlette leaves the temporary file of a part without end to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "break_it", [lambda b: b[:-20], lambda b: b.replace(b"\r\n", b"\n"), lambda b: b""]
)
def test_a_broken_upload_is_a_400(service: Service, break_it: Callable[[bytes], bytes]) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + picture(1) + b"\r\n--x--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = service.client.post(DIGITS, content=break_it(body), headers=headers)
    assert response.status_code in (400, 422)
    assert "error" in response.json()


def test_a_multipart_body_without_boundary_is_a_400(service: Service) -> None:
    headers = {"content-type": "multipart/form-data"}
    assert service.client.post(DIGITS, content=b"x", headers=headers).status_code == 400


def test_answers_and_refusals_are_counted_by_model(service: Service) -> None:
    service.client.post(LANGUAGES, json={"text": "hej"})
    service.client.post(LANGUAGES, json={"text": ""})
    key = next(m.key for m in service.registry if m.key.name == "language-id")
    meters = service.metrics.model(key)
    endpoint = "/v1/models/{name}/predict"
    assert meters.requests[endpoint, 200] >= 1
    assert meters.requests[endpoint, 400] >= 1
    assert meters.failures["empty_text"] >= 1
