import time

from tests.service.fakes import Service


def test_one_list_serves_openais_and_kserves_clients(service: Service) -> None:
    body = service.client.get("/v1/models").json()
    names = ["chat", "digits", "double", "language-id", "painter", "writer"]
    assert body["object"] == "list"
    assert body["models"] == names
    assert [model["id"] for model in body["data"]] == names


def test_one_object_serves_openais_and_kserves_clients(service: Service) -> None:
    body = service.client.get("/v1/models/digits").json()
    assert (body["id"], body["object"], body["owned_by"]) == ("digits", "model", "slipway")
    assert abs(body["created"] - time.time()) < 3600
    assert (body["name"], body["ready"]) == ("digits", True)
    assert (body["version"], body["versions"]) == (1, [1])
    assert body["task"] == "image-classification"


def test_an_unknown_model_is_a_404_with_openais_error(service: Service) -> None:
    response = service.client.get("/v1/models/nobody")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_a_model_that_is_not_ready_says_so_with_503(service: Service) -> None:
    model = service.registry.get("double")
    model.state = "loading"
    try:
        response = service.client.get("/v1/models/double")
    finally:
        model.state = "ready"
    assert response.status_code == 503
    assert response.json()["ready"] is False


def test_a_request_that_a_known_model_cannot_take_counts_as_that_models_failure(
    service: Service,
) -> None:
    model = service.registry.get("double")
    failures = model.meters.failures["not_ready"]
    model.state = "loading"
    try:
        response = service.client.post("/v2/models/double/infer", json={"inputs": []})
    finally:
        model.state = "ready"
    assert response.status_code == 503
    assert model.meters.failures["not_ready"] == failures + 1
