"""docker/compose.yaml without a daemon: every file, port, name and setting in it leads somewhere."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings
from tests.docker.files import DOCKER, ROOT, instructions
from tests.tools import tool

COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
_DEFAULT = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")


def _mounts(service: str) -> dict[str, tuple[Path | str, str]]:
    """Path inside → (file here or name of a volume, mode)."""
    found: dict[str, tuple[Path | str, str]] = {}
    for entry in SERVICES[service]["volumes"]:
        source, inside, *mode = _DEFAULT.sub(r"\1", entry).split(":")
        is_file = source.startswith(".")
        found[inside] = ((DOCKER / source).resolve() if is_file else source, *(mode or ["rw"]))
    return found


def _inside(service: str, path: str) -> Path:
    """The file here that a container sees at `path`."""
    for inside, (source, _) in _mounts(service).items():
        if isinstance(source, Path) and (path == inside or path.startswith(f"{inside}/")):
            return source / path.removeprefix(inside).lstrip("/")
    raise AssertionError(f"{service}: nothing is mounted at {path}")


@pytest.mark.parametrize("service", SERVICES)
def test_whatever_is_mounted_exists_and_is_read_only(service: str) -> None:
    mounts = _mounts(service)
    assert mounts
    for inside, (source, mode) in mounts.items():
        if isinstance(source, Path):
            assert source.exists(), f"{service}: {source}"
            assert mode == "ro", f"{service}: {inside}"
        else:
            assert source in COMPOSE["volumes"], f"{service}: volume {source} is not declared"


@pytest.mark.parametrize("service", SERVICES)
def test_only_this_machine_reaches_the_ports(service: str) -> None:
    ports = [_DEFAULT.sub(r"\1", port) for port in SERVICES[service]["ports"]]
    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)


def test_no_two_services_take_the_same_port() -> None:
    taken = [_DEFAULT.sub(r"\1", p) for entry in SERVICES.values() for p in entry["ports"]]
    assert len({port.split(":")[1] for port in taken}) == len(taken) == 3


def test_the_service_listens_where_compose_and_prometheus_look() -> None:
    [port] = SERVICES["slipway"]["ports"]
    assert ("EXPOSE", port.rpartition(":")[2]) in instructions("Dockerfile")
    assert Settings.model_fields["port"].default == int(port.rpartition(":")[2])
    configuration = yaml.safe_load(
        _inside("prometheus", "/etc/prometheus/prometheus.yaml").read_text()
    )
    [scrape] = configuration["scrape_configs"]
    [target] = scrape["static_configs"][0]["targets"]
    host, metrics_port = target.split(":")
    assert host in SERVICES
    assert SERVICES[host]["environment"]["SLIPWAY_METRICS_PORT"] == metrics_port
    assert scrape["job_name"] == "slipway", "the chart's rules ask for this job"
    assert scrape["static_configs"][0]["labels"].keys() == {"namespace", "pod"}


def test_every_variable_is_a_setting_that_takes_the_value() -> None:
    given = SERVICES["slipway"]["environment"]
    settings = Settings(**{key.removeprefix("SLIPWAY_").lower(): v for key, v in given.items()})
    assert settings.metrics_port == 9090


def test_a_stop_leaves_time_to_finish_accepted_requests() -> None:
    allowed_s = int(SERVICES["slipway"]["stop_grace_period"].removesuffix("s"))
    assert allowed_s >= Settings.model_fields["grace_s"].default + 5


def test_the_service_is_locked_down() -> None:
    service = SERVICES["slipway"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]


def test_the_image_is_built_from_the_repository() -> None:
    build = SERVICES["slipway"]["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    gpu = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())["services"]["slipway"]
    assert gpu["build"]["args"] == {"PROVIDER": "cuda"}
    assert gpu["image"] != SERVICES["slipway"]["image"]


def test_prometheus_accepts_its_configuration_and_every_rule(tmp_path: Path) -> None:
    # As in the container: the rules lie beside the configuration.
    configuration = tmp_path / "prometheus.yaml"
    configuration.write_bytes(_inside("prometheus", "/etc/prometheus/prometheus.yaml").read_bytes())
    (tmp_path / "rules").symlink_to(_inside("prometheus", "/etc/prometheus/rules"))
    command = [tool("promtool"), "check", "config", configuration]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rules = list(_inside("prometheus", "/etc/prometheus/rules").glob("*.yaml"))
    assert f"{len(rules)} rule files found" in done.stdout
    [flag] = [f for f in SERVICES["prometheus"]["command"] if f.startswith("--config.file=")]
    assert flag == "--config.file=/etc/prometheus/prometheus.yaml"


def test_grafana_finds_prometheus_and_the_charts_dashboards() -> None:
    provisioning = "/etc/grafana/provisioning"
    [source] = yaml.safe_load(
        _inside("grafana", f"{provisioning}/datasources/slipway.yaml").read_text()
    )["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert SERVICES[host]["ports"][0].endswith(f":{port}")
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    [provider] = yaml.safe_load(
        _inside("grafana", f"{provisioning}/dashboards/slipway.yaml").read_text()
    )["providers"]
    dashboards = _inside("grafana", provider["options"]["path"])
    assert dashboards == ROOT / "helm" / "slipway" / "dashboards"
    assert {path.stem for path in dashboards.glob("*.json")} >= {"overview", "generation", "gpu"}
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert _inside("grafana", home).is_file()
    assert SERVICES["grafana"]["depends_on"] == ["prometheus"]
