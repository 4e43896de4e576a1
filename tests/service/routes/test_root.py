"""The pages and the document behind them: no foreign assets, and examples that work when pressed."""

import json
import re
from collections.abc import Iterator
from importlib import resources

import pytest

from service.routes.root import _FILES
from tests.service.fakes import Service


@pytest.fixture
def document(service: Service) -> dict[str, object]:
    return dict(service.client.get("/openapi.json").json())


def test_a_browser_gets_the_page_and_a_probe_gets_json(service: Service) -> None:
    page = service.client.get("/", headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert service.client.get("/").json()["status"] == "alive"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_everything_a_page_needs_is_served_here(service: Service, path: str) -> None:
    page = service.client.get(path, headers={"accept": "text/html"}).text
    parts = re.findall(r'(?:src|href)="(assets/[^"]+)"', page)
    assert parts
    for part in parts:
        assert service.client.get(f"/{part}").status_code == 200


def test_pages_name_no_other_host_and_render_no_markup() -> None:
    assert {"try.html", "docs.html", "style.css", "page.js", "try.js", "docs.js"} <= set(_FILES)
    for name, (data, _, _) in _FILES.items():
        text = data.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|\burl\(", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text), (
            name
        )
        assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=\"|style=\"", text), name


def test_pages_carry_a_policy_that_forbids_other_hosts(service: Service) -> None:
    headers = service.client.get("/docs").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_an_unchanged_asset_is_not_sent_again(service: Service) -> None:
    tag = service.client.get("/assets/try.js").headers["etag"]
    again = service.client.get("/assets/try.js", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("file", ["nothing.js", "__init__.py", "..%2Fapp.py", "%2e%2e", "try.js/"])
def test_only_the_pages_files_are_served(service: Service, file: str) -> None:
    assert service.client.get(f"/assets/{file}").status_code == 404


def test_package_data_holds_the_pages() -> None:
    assert resources.files("service.web").joinpath("try.html").is_file()


def _examples(document: dict[str, object]) -> Iterator[tuple[str, object]]:
    for path, item in dict(document["paths"]).items():  # type: ignore[call-overload]
        for operation in item.values():
            content = operation.get("requestBody", {}).get("content", {})
            if "example" in content.get("application/json", {}):
                yield _filled(path, operation), content["application/json"]["example"]


def _filled(path: str, operation: dict[str, object]) -> str:
    """The address that the document's own examples of its parameters give."""
    for parameter in operation.get("parameters", ()):  # type: ignore[attr-defined]
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example", "")))
    return path


def test_every_loaded_model_has_an_operation_of_its_own(document: dict[str, object]) -> None:
    paths = dict(document["paths"])  # type: ignore[call-overload]
    for name in ("digits", "language-id", "writer", "painter", "double"):
        operation = paths[f"/v1/models/{name}/predict"]["post"]
        assert operation["x-slipway"]["model"] == name
    assert "/v2/models/digits/infer" in paths
    assert "/v2/models/writer/infer" not in paths


def test_every_example_works_when_pressed(service: Service, document: dict[str, object]) -> None:
    pressed = set()
    for path, example in _examples(document):
        if path.startswith("/v2/"):
            continue  # the fast lane is in front of this application; its codec is checked below
        response = service.client.post(path, json=example)
        assert response.status_code == 200, (path, example, response.text)
        pressed.add(path)
    assert {"/v1/completions", "/v1/images/generations", "/v1/models/digits/predict"} <= pressed


def test_every_v2_example_is_a_request_that_the_codec_reads(
    service: Service, document: dict[str, object]
) -> None:
    from service.protocol.v2 import V2Codec

    read = 0
    for path, example in _examples(document):
        if path.startswith("/v2/"):
            if not path.endswith("/infer"):
                continue
            model = service.registry.get(path.split("/")[3])
            request = V2Codec(model.manifest).decode(json.dumps(example).encode())
            assert request.rows == 1
            read += 1
    assert read == 6


def test_infer_is_described_in_json_and_in_binary_form(document: dict[str, object]) -> None:
    paths = dict(document["paths"])  # type: ignore[call-overload]
    for path in ("/v2/models/{name}/infer", "/v2/models/digits/infer"):
        operation = paths[path]["post"]
        kinds = {"application/json", "application/octet-stream"}
        assert operation["requestBody"]["content"].keys() == kinds
        names = {p["name"] for p in operation["parameters"] if p["in"] == "header"}
        assert names == {"inference-header-content-length", "x-request-timeout-ms"}
    for route in ("stats", "versions/{version}/config", "ready"):
        assert "get" in paths[f"/v2/models/{{name}}/{route}"]
    for command in ("load", "unload"):
        assert "post" in paths[f"/v2/repository/models/{{name}}/{command}"]


def test_every_path_parameter_names_something_that_is_served(
    service: Service, document: dict[str, object]
) -> None:
    filled = 0
    for path, item in dict(document["paths"]).items():  # type: ignore[call-overload]
        for method, operation in item.items():
            target = path
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    target = target.replace(f"{{{parameter['name']}}}", parameter["example"])
            assert "{" not in target
            if method == "get":
                filled += target != path
                assert service.client.get(target).status_code == 200, target
    assert filled >= 3


def test_no_refusal_is_announced_in_fastapis_own_shape(document: dict[str, object]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, object]) -> None:
    text = json.dumps(document)
    schemas = document["components"]["schemas"]  # type: ignore[index]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in schemas
    assert document["openapi"] == "3.1.0"


def test_the_document_follows_what_is_served(service: Service) -> None:
    model = service.registry.get("double")
    model.state = "failed"
    try:
        without = service.client.get("/openapi.json").json()["paths"]
    finally:
        model.state = "ready"
    assert "/v1/models/double/predict" not in without
    assert "/v1/models/double/predict" in service.client.get("/openapi.json").json()["paths"]
