"""The pod's life without a cluster: its init container fetches, its server starts as the chart configures it,
`helm test` passes, and the end takes no longer than the chart allows for.

Commands, arguments and variables are the rendered ones; only addresses and folders, which a cluster
would provide, are this machine's.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.helm.chart import Document, documents, environment_of, of_kind
from tests.service import graphs

pytestmark = pytest.mark.slow
_START_LIMIT_S = 60


@dataclass
class Store:
    """An archive at a URL, as an object store would have it."""

    url: str
    sha256: str


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    graphs.doubler().publish(tmp_path / "published", "double", tmp_path)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with tarfile.open(shelf / "double.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "published" / "double", arcname="double")
    digest = hashlib.sha256((shelf / "double.tar.gz").read_bytes()).hexdigest()
    handler = partial(_Quiet, directory=str(shelf))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Store(f"http://127.0.0.1:{server.server_address[1]}/double.tar.gz", digest)
        server.shutdown()
        thread.join()


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


def _command(container: Document) -> list[str]:
    """`slipway …`, with this interpreter's slipway."""
    assert container["command"] == ["slipway"]
    return [sys.executable, "-m", "slipway", *container["args"]]


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    limit = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < limit and process.poll() is None:
        try:
            if httpx.get(f"{url}/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
    raise AssertionError("the server did not become ready")


def test_a_pod_fetches_serves_passes_helm_test_and_ends(store: Store, tmp_path: Path) -> None:
    port, metrics_port = _free_ports(2)
    repository = tmp_path / "repository"
    values = f"""
models: [{{name: double, source: url, url: "{store.url}", sha256: "{store.sha256}"}}]
server: {{port: {port}, metricsPort: {metrics_port}, host: 127.0.0.1, repository: {repository}, lameDuckS: 1}}
"""
    found = documents("cpu-minimal", values=values)
    pod = of_kind("Deployment", found)["spec"]["template"]["spec"]
    (fetcher,), (server,) = pod["initContainers"], pod["containers"]
    test = of_kind("Pod", found)["spec"]["containers"][0]

    subprocess.run(_command(fetcher), check=True)
    environment = {**os.environ, **environment_of(server)}
    with subprocess.Popen(_command(server), env=environment) as process:
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", process)
            _helm_test(test, port, metrics_port)
            assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 404
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(pod["terminationGracePeriodSeconds"]) == 0
            assert time.monotonic() - began >= 1  # the lame duck is part of the sum
        finally:
            process.kill()


def _helm_test(container: Document, port: int, metrics_port: int) -> None:
    command, (script,) = container["command"], container["args"]
    assert command == ["python3", "-c"]
    environment = environment_of(container)
    assert environment["SERVICE"] == "http://release-slipway:80"
    assert environment["MODELS"] == "double"
    addresses = {
        "SERVICE": f"http://127.0.0.1:{port}",
        "METRICS": f"http://127.0.0.1:{metrics_port}",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment, **addresses},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "model: double versions 1" in done.stdout
    assert "metrics: ready" in done.stdout


def test_a_pod_whose_model_is_another_one_does_not_start(store: Store, tmp_path: Path) -> None:
    values = f"""
models: [{{name: double, source: url, url: "{store.url}", sha256: "{"0" * 64}"}}]
server: {{repository: {tmp_path / "repository"}}}
"""
    pod = of_kind("Deployment", documents(values=values))["spec"]["template"]["spec"]
    done = subprocess.run(
        _command(pod["initContainers"][0]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"has sha256 {store.sha256}, expected {'0' * 64}: it is not used" in done.stderr
