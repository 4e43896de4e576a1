"""Routes of metadata, configuration, statistics and repository through the application."""

import pytest

from service.registry import ModelRegistry
from tests.service.fakes import Service


class Commands:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    async def load(self, name: str, version: int | None = None) -> None:
        self.told.append(("load", name, version))

    async def unload(self, name: str) -> None:
        self.told.append(("unload", name))


@pytest.fixture
def commands(service: Service, monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands()
    monkeypatch.setattr(service.registry, "control", made)
    return made


def test_the_index_can_be_asked_for_ready_ones_only(service: Service) -> None:
    registry: ModelRegistry = service.registry
    model = registry.get("double")
    everything = service.client.post("/v2/repository/index").json()
    assert [entry["name"] for entry in everything] == registry.names()
    model.state, model.reason = "loading", ""
    try:
        ready = service.client.post("/v2/repository/index", json={"ready": True}).json()
        every = service.client.post("/v2/repository/index", json={"ready": None}).json()
    finally:
        model.state = "ready"
    assert {"double"} == {e["name"] for e in every} - {e["name"] for e in ready}
    assert {entry["state"] for entry in ready} == {"READY"}


@pytest.mark.parametrize("body", ["{", "[]", '{"ready": 1}', '{"ready": true, "ready": false}'])
def test_a_wrong_index_request_is_a_400(service: Service, body: str) -> None:
    assert service.client.post("/v2/repository/index", content=body).status_code == 400


def test_load_and_unload_reach_the_one_that_does_it(service: Service, commands: Commands) -> None:
    for path, body in (
        ("double/load", None),
        ("double/load", {"parameters": {"version": 3}}),
        ("double/load", {"parameters": {"version": "4"}}),
        ("double/load", {"parameters": None}),
        ("double/unload", {"parameters": {"unload_dependents": False}}),
        ("double/unload", None),
    ):
        response = service.client.post(f"/v2/repository/models/{path}", json=body)
        assert (response.status_code, response.json()) == (200, {})
    assert commands.told == [
        ("load", "double", None),
        ("load", "double", 3),
        ("load", "double", 4),
        ("load", "double", None),
        ("unload", "double"),
        ("unload", "double"),
    ]


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("load", {"config": "{}"}),
        ("load", {"file:1/model.onnx": "AAAA"}),
        ("load", {"version": 0}),
        ("load", {"version": "1/../2"}),
        ("load", {"version": True}),
        ("load", [1]),
        ("unload", {"mine": 1}),
    ],
)
def test_parameters_that_are_not_taken_change_nothing(
    service: Service, commands: Commands, command: str, parameters: object
) -> None:
    path = f"/v2/repository/models/double/{command}"
    response = service.client.post(path, json={"parameters": parameters})
    assert response.status_code == 400
    assert not commands.told


def test_a_web_page_cannot_load_or_unload(service: Service, commands: Commands) -> None:
    for command in ("load", "unload"):
        path = f"/v2/repository/models/double/{command}"
        response = service.client.post(path, headers={"origin": "http://localhost"})
        assert response.status_code == 403
    assert not commands.told


def test_where_nothing_changes_a_command_is_refused(service: Service) -> None:
    response = service.client.post("/v2/repository/models/double/load")
    assert (response.status_code, response.json()["code"]) == (400, "model_control")


def test_statistics_of_all_of_one_and_of_a_version(service: Service) -> None:
    def names(path: str) -> list[tuple[str, str]]:
        found = service.client.get(path).json()["model_stats"]
        return [(entry["name"], entry["version"]) for entry in found]

    service.client.post("/v1/models/double/predict", json={"inputs": [1, 2, 3]})
    assert names("/v2/models/stats") == [(name, "1") for name in service.registry.names()]
    assert names("/v2/models/double/stats") == [("double", "1")]
    assert names("/v2/models/double/versions/1/stats") == [("double", "1")]
    (counted,) = service.client.get("/v2/models/double/stats").json()["model_stats"]
    assert counted["inference_count"] >= 1


@pytest.mark.parametrize("what", ["stats", "config", "ready"])
def test_what_is_not_there_is_a_404(service: Service, what: str) -> None:
    for path in ("nobody", "double/versions/2", "double/versions/x", "double/versions/01"):
        response = service.client.get(f"/v2/models/{path}/{what}")
        assert (response.status_code, response.json()["code"]) == (404, "unknown_model")


def test_config_is_there_for_every_kind_of_model(service: Service) -> None:
    for name in service.registry.names():
        config = service.client.get(f"/v2/models/{name}/config").json()
        assert config["name"] == name
        assert config["version_policy"] == {"latest": {"num_versions": 1}}
        same = service.client.get(f"/v2/models/{name}/versions/1/config").json()
        assert same == config
