"""What callers send neither multiplies the metrics nor ends up in metrics, logs or errors."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.observability.access_log import AccessLog
from service.observability.exposition import text
from service.observability.observe import Observed, Observer
from tests.service.asgi import call
from tests.service.bundles import digits_bundle, language_bundle, tensor_bundle
from tests.service.fakes import Service, serving
from tests.service.loops import in_loop

CANARY = "canary-7f3a91c2"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    repository = tmp_path_factory.mktemp("limits") / "repository"
    with serving([make(repository) for make in (digits_bundle, language_bundle)]) as running:
        yield running


def series(service: Service) -> set[str]:
    """Names with labels, without values."""
    lines = text(service.metrics).decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


@in_loop
async def test_ten_thousand_invented_names_add_no_series(tmp_path: Path) -> None:
    service = Service([tensor_bundle(tmp_path / "repository")])
    await service.load()
    shapes = (
        ("GET", "/v2/models/unknown-{}"),
        ("POST", "/v2/models/unknown-{}/infer"),
        ("POST", "/v1/models/unknown-{}:predict"),
        ("GET", "/invented/{}"),
        ("INVENTED{}", "/v2"),
        ("GET", f"/v2/models/{service.bundles[0].name}/versions/{{}}"),
    )
    for method, path in shapes:  # once each: the routes' own series
        await call(service.asgi, method=method.format(0), path=path.format(10**6))
    before = series(service)
    for number in range(10_000):
        method, path = shapes[number % len(shapes)]
        await call(service.asgi, method=method.format(number), path=path.format(10**6 + number))
    assert series(service) == before
    await service.unload()


def ask_rudely(service: Service) -> list[Any]:
    """Good and bad requests that carry the canary wherever a secret or a person's text may stand."""
    secret = {"authorization": f"Bearer {CANARY}", "cookie": f"session={CANARY}"}
    secret |= {"x-api-key": CANARY, "x-request-id": f"{CANARY} {CANARY}"}
    client, url = service.client, "/v1/models/language-id/predict"
    answers = [
        client.post(url, json={"text": f"a person's text {CANARY}"}, headers=secret),
        client.post(
            f"{url}?token={CANARY}", content=b'{"text": "' + CANARY.encode(), headers=secret
        ),
        client.post(url, json={"text": [CANARY] * 2000}, headers=secret),
        client.post(url, json={"text": 5, "top_k": -1}, headers=secret),
        client.post("/v1/models/digits/predict", content=CANARY.encode(), headers=secret),
        client.post(
            "/v1/models/digits/predict",
            content=b"\x89PNG\r\n" + CANARY.encode(),
            headers=secret | {"content-type": "image/png"},
        ),
        client.post(
            "/v2/models/digits/infer", json={"inputs": [{"data": [CANARY]}]}, headers=secret
        ),
        client.get("/v2/models/digits", headers=secret),
    ]
    assert {200, 400} <= {answer.status_code for answer in answers}
    return answers


def test_secrets_and_bodies_appear_in_no_log_metric_or_error(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.BytesIO()
    observer = Observer(service.metrics, AccessLog(log))
    monkeypatch.setattr(service.asgi, "_observer", observer)
    with caplog.at_level(logging.DEBUG):
        answers = ask_rudely(service)
    observer.flush()
    lines = log.getvalue().decode()
    assert len(lines.splitlines()) == len(answers)
    assert CANARY not in lines
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert not any(CANARY in record.getMessage() for record in ours)
    assert CANARY not in text(service.metrics).decode()
    for answer in answers:
        if answer.status_code >= 400:
            assert CANARY not in answer.text
        assert CANARY not in str(answer.headers)


@in_loop
async def test_a_request_cannot_forge_a_line_or_a_header(tmp_path: Path) -> None:
    service = Service([tensor_bundle(tmp_path / "repository")])
    await service.load()
    log = io.BytesIO()
    observer = Observer(service.metrics, AccessLog(log))
    app = Observed(service.app, observer, 4 << 20)
    rude = '\r\n\x1b[31m\u2028{"status": 200}'
    exchange = await call(
        app,
        method="GET",
        path=f"/v2/models/x{rude}",
        headers={"x-request-id": f"a\r\nset-cookie: b{rude}".encode().decode("latin-1")},
    )
    observer.flush()
    [line] = log.getvalue().decode().splitlines()
    assert json.loads(line)["status"] == 404
    assert line.isprintable()
    assert not any("\r" in value or "\n" in value for value in exchange.headers.values())
    assert "set-cookie" not in str(exchange.headers)
    await service.unload()
