"""Every variable in the chart is a setting of the server, and every setting can be reached from the chart."""

import json

import pytest

from helm.generate import ELSEWHERE, key_of
from models.errors import UsageError
from service.settings import Settings, load_settings
from slipway import build_parser
from tests.helm.chart import (
    PRESETS,
    Document,
    documents,
    environment_of,
    of_kind,
    refusal,
    server_of,
)

DEPLOYED = [preset for preset in PRESETS if preset != "kserve"]
_PREFIX = "SLIPWAY_"


def _variables(container: Document) -> set[str]:
    return {entry["name"] for entry in container["env"] if entry["name"].startswith(_PREFIX)}


def _name_of(variable: str) -> str:
    return variable.removeprefix(_PREFIX).lower()


@pytest.mark.parametrize("preset", DEPLOYED)
def test_every_variable_is_a_setting(preset: str) -> None:
    variables = _variables(server_of(documents(preset)))
    assert len(variables) >= 8
    assert {_name_of(variable) for variable in variables} <= set(Settings.model_fields)


@pytest.mark.parametrize("preset", DEPLOYED)
def test_the_server_takes_a_presets_variables(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = environment_of(server_of(documents(preset)))
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    assert settings.host == "0.0.0.0"
    assert str(settings.repository) == "/models"
    for variable in environment:
        assert getattr(settings, _name_of(variable)) is not None


def _another(name: str) -> object:
    """What one would write into values.yaml."""
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    if name == "version_policy":
        return "latest=3"
    if name == "variant":
        return ["chat=int4"]
    if name == "model_provider":
        return ["digits=cuda"]
    if name == "latency_target":
        return ["digits=p95_ms=20"]
    if isinstance(default, tuple):
        return ["a", "b"]
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 2
    if isinstance(default, float):
        return default / 2 + 0.25
    choices = Settings.model_json_schema()["properties"][name].get("enum")
    if choices:
        return next(choice for choice in choices if choice != default)
    return {"otlp_endpoint": "http://collector:4318"}.get(name, "another")


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in ELSEWHERE])
def test_every_setting_can_be_reached(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = _another(name)
    extra = {"gpu": {"enabled": True}} if name == "provider" else {}
    if name == "model_control_mode":
        extra = {"adminToken": {"existingSecret": "token"}}
    values = {"server": {"graceS": 60, "requestTimeoutS": 20, key_of(name): value}, **extra}
    environment = environment_of(server_of(documents(values=json.dumps(values))))
    monkeypatch.setenv(f"{_PREFIX}{name.upper()}", environment[f"{_PREFIX}{name.upper()}"])
    taken, default = getattr(load_settings(), name), getattr(Settings(_env_prefix="NONE_"), name)
    assert taken != default
    if isinstance(value, bool | int | float):
        assert taken == value


def test_the_one_secret_comes_from_a_secret() -> None:
    assert {"admin_token"} == ELSEWHERE
    container = server_of(documents("", "adminToken.existingSecret=mine", "adminToken.key=word"))
    (entry,) = [entry for entry in container["env"] if entry["name"] == "SLIPWAY_ADMIN_TOKEN"]
    assert entry["valueFrom"] == {"secretKeyRef": {"name": "mine", "key": "word"}}


@pytest.mark.parametrize("value", [16 << 30, 1 << 44])
def test_large_numbers_are_written_out(value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Helm holds numbers as floats, and prints large ones as 1.7179869184e+10, which is no integer."""
    values = json.dumps({"server": {"generationKvMemoryBytes": value}})
    environment = environment_of(server_of(documents(values=values)))
    assert environment["SLIPWAY_GENERATION_KV_MEMORY_BYTES"] == str(value)


@pytest.mark.parametrize(
    ("name", "value"), [("max_queue_wait_ms", 0), ("frontends", 65), ("log_level", "loud")]
)
def test_the_chart_refuses_what_the_server_would(name: str, value: object) -> None:
    with pytest.raises(UsageError):
        load_settings(**{name: value})
    said = refusal(values=json.dumps({"server": {key_of(name): value}}))
    assert f"server.{key_of(name)}" in said


@pytest.mark.parametrize("preset", DEPLOYED)
def test_the_command_line_takes_every_containers_arguments(preset: str) -> None:
    pod = of_kind("Deployment", documents(preset))["spec"]["template"]["spec"]
    parser = build_parser()
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["command"] == ["slipway"]
        assert parser.parse_args(container["args"]).handler is not None


def test_the_command_line_takes_the_serving_runtimes_arguments() -> None:
    (container,) = of_kind("ServingRuntime", documents("kserve"))["spec"]["containers"]
    assert str(build_parser().parse_args(container["args"]).repository) == "/mnt/models"
