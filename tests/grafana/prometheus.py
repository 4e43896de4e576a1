"""A real Prometheus for as long as a test needs it: scrapes and evaluates the chart's rules every second."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.grafana.series import RULES
from tests.tools import tool

POD = {"namespace": "live", "pod": "slipway-7d9c5b4f6-abcde"}
"""As the Prometheus operator would label it."""
_LIMIT_S = 30.0


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=f"{url}/api/v1", timeout=20.0)

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """`data` of an answer."""
        answer = self._client.get(path, params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str, at_s: float | None = None) -> list[dict[str, Any]]:
        """Series with their value at a moment, now by default."""
        time_ = {} if at_s is None else {"time": at_s}
        found: list[dict[str, Any]] = self.get("/query", query=expression, **time_)["result"]
        return found

    def number(self, expression: str, at_s: float | None = None) -> float:
        """Of a query with a single answer."""
        [found] = self.query(expression, at_s)
        return float(found["value"][1])

    def until(self, is_so: Callable[[], object], what: str, limit_s: float = _LIMIT_S) -> None:
        """Prometheus tells nobody when it has scraped or evaluated: it is asked again and again."""
        limit = time.monotonic() + limit_s
        while not is_so():
            assert time.monotonic() < limit, f"{what}: not within {limit_s:g} s"
            time.sleep(0.1)

    def until_scraped_after(self, moment_s: float) -> None:
        newest = "min(timestamp(slipway_build_info))"
        self.until(
            lambda: (found := self.query(newest)) and float(found[0]["value"][1]) > moment_s,
            "a scrape",
        )


@contextmanager
def running(
    folder: Path, targets: Sequence[str], cluster: str = "", alertmanager: str = ""
) -> Iterator[Prometheus]:
    """`targets`: Slipway's host:port. `cluster`: of the page of a cluster's exporters."""
    port = free_port()
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(_configuration(targets, cluster, alertmanager)))
    command = [
        str(tool("prometheus")),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    with process(command, folder / "prometheus.log", f"http://127.0.0.1:{port}/-/ready") as url:
        prometheus = Prometheus(url.removesuffix("/-/ready"))
        with closing(prometheus):
            yield prometheus


def _configuration(targets: Sequence[str], cluster: str, alertmanager: str) -> dict[str, Any]:
    scrapes = [{"job_name": "slipway", "static_configs": [{"targets": [*targets], "labels": POD}]}]
    if cluster:
        page: dict[str, Any] = {"job_name": "cluster", "honor_labels": True}
        scrapes.append(page | {"static_configs": [{"targets": [cluster]}]})
    found: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": scrapes,
        "rule_files": [str(path) for path in sorted(RULES.glob("*.yaml"))],
    }
    if alertmanager:
        managers = [{"static_configs": [{"targets": [alertmanager]}]}]
        found["alerting"] = {"alertmanagers": managers}
    return found


@contextmanager
def process(command: list[str], log: Path, ready_url: str) -> Iterator[str]:
    """A program that says when it is ready, killed at the end."""
    with log.open("w") as sink:
        started = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        limit = time.monotonic() + _LIMIT_S
        while not _answers(ready_url):
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.05)
        yield ready_url
    finally:
        started.kill()
        started.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def values(found: list[dict[str, Any]]) -> list[float]:
    return [float(series["value"][1]) for series in found]


def shown(found: list[dict[str, Any]]) -> str:
    """For the message of a failure."""
    return json.dumps(found, indent=1)[:2000]
