"""What a request may take, read from its body, its headers and its routes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.errors import BadRequest, DeadlineExceeded
from service.terms import Terms, take_priority, take_timeout_s
from tests.service.bundles import language_bundle, painter_bundle, tensor_bundle, writer_bundle
from tests.service.fakes import serving


def test_a_stage_is_not_begun_for_nobody() -> None:
    Terms().check(now=1e9)
    Terms(deadline=2.0).check(now=1.0)
    with pytest.raises(DeadlineExceeded):
        Terms(deadline=2.0).check(now=2.0)


def test_timeout_and_priority_are_taken_out_and_the_rest_stays() -> None:
    given: dict[str, object] = {"timeout": 1_500_000, "priority": 2, "top_k": 3}
    assert (take_timeout_s(given), take_priority(given), given) == (1.5, 2, {"top_k": 3})
    assert take_timeout_s({"timeout": 0}) is None
    assert take_timeout_s({"timeout": None}) is None


@pytest.mark.parametrize("value", [-1, 1.5, "1", True, 10**16])
def test_what_is_no_time_is_refused_by_name(value: object) -> None:
    with pytest.raises(BadRequest, match=r"parameters\.timeout"):
        take_timeout_s({"timeout": value})


Ask = Callable[[TestClient, dict[str, str]], int]

ROUTES: dict[str, tuple[str, dict[str, object]]] = {
    "v2": (
        "/v2/models/double/infer",
        {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]},
    ),
    "typed": ("/v1/models/double/predict", {"instances": [{"x": [1, 2, 3]}]}),
    "v1": ("/v1/models/double:predict", {"instances": [{"x": [1, 2, 3]}]}),
    "text": ("/v1/models/language-id/predict", {"text": "bonjour"}),
    "completions": ("/v1/completions", {"model": "writer", "prompt": "x"}),
    "images": ("/v1/images/generations", {"model": "painter", "prompt": "3"}),
}


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_keeps_the_time_that_a_header_names(route: str, tmp_path: Path) -> None:
    bundles = [
        make(tmp_path) for make in (tensor_bundle, language_bundle, writer_bundle, painter_bundle)
    ]
    path, body = ROUTES[route]
    with serving(bundles) as service:

        def ask(value: str) -> tuple[int, str]:
            answer = service.client.post(path, json=body, headers={"x-request-timeout-ms": value})
            found = answer.json()
            error = found.get("error", "")
            code = error["code"] if isinstance(error, dict) else found.get("code", "")
            return answer.status_code, code

        assert ask("20000") == (200, "")
        assert ask("0") == (504, "deadline")
        assert ask("0.0001") == (504, "deadline")
        assert ask("soon")[0] == 400


@pytest.mark.parametrize("route", ["typed", "v1"])
def test_a_typed_body_names_its_time_and_urgency_as_v2_does(route: str, tmp_path: Path) -> None:
    path, body = ROUTES[route]
    with serving([tensor_bundle(tmp_path)]) as service:

        def ask(**parameters: object) -> int:
            given = {**body, "parameters": parameters}
            return service.client.post(path, json=given).status_code

        assert ask(timeout=20_000_000, priority=1) == 200
        assert ask(timeout=1) == 504
        assert ask(timeout="long") == 400
