"""From a process that dies to whoever is called: server, Prometheus, Alertmanager, receiver, all real."""

import re
from pathlib import Path

import psutil
import pytest

from tests.alerts import alertmanager
from tests.grafana import prometheus
from tests.service import graphs
from tests.service.conftest import ServerProcess, running
from tests.tools import tool

pytestmark = pytest.mark.slow

_RESTARTS = 'sum(slipway_worker_restarts_total{reason="lost"})'


def test_a_crash_looping_worker_pages_somebody(tmp_path: Path) -> None:
    tool("alertmanager")  # skips before anything is started
    graphs.doubler().publish(tmp_path / "repository", "double", tmp_path)
    arguments = ["--repository", str(tmp_path / "repository"), "--workers", "1"]
    with (
        running(*arguments) as server,
        alertmanager.receiver() as (pager, notified),
        alertmanager.running(tmp_path, pager) as manager,
        prometheus.running(
            tmp_path, [server.url.removeprefix("http://")], alertmanager=manager
        ) as watching,
    ):
        watching.until(lambda: watching.query(_RESTARTS), "the first scrape")
        for deaths in range(1, 5):
            watching.until(lambda: kill_worker(server), "a worker")
            watching.until(lambda n=deaths: watching.number(_RESTARTS) >= n, f"restart {deaths}")
        notification = notified.get(timeout=30)
    assert notification["status"] == "firing"
    assert notification["receiver"] == "pager"
    [alert] = notification["alerts"]
    assert alert["labels"] == {
        "alertname": "SlipwayWorkerCrashLooping", "severity": "page", **prometheus.POD,
    }  # fmt: skip
    assert re.fullmatch(
        r"live/slipway-7d9c5b4f6-abcde replaced [\d.]+ processes in 15 minutes",
        alert["annotations"]["summary"],
    )
    page = Path(__file__).parents[2] / alert["annotations"]["runbook_url"]
    assert page.read_text().startswith("# SlipwayWorkerCrashLooping\n")


def kill_worker(server: ServerProcess) -> bool:
    """As the system's memory killer would; False while there is none that has come up."""
    with server.client() as client:
        if not re.search(r'start_time_seconds\{process="worker-0"\}', client.get("/metrics").text):
            return False
    children = psutil.Process(server.process.pid).children()
    workers = [one for one in children if "service.workers.process" in " ".join(one.cmdline())]
    for worker in workers:
        worker.kill()
    return bool(workers)
