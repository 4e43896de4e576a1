"""Real servers: a repository of tiny models and `slipway serve` as a process of its own."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.manifest import Batching
from tests.service import graphs

ROOT = Path(__file__).parents[2]
_START_LIMIT_S = 30.0

StartServer = Callable[..., AbstractContextManager["ServerProcess"]]


class ServerProcess:
    """A running `slipway serve`; `errors` is what it has written to stderr so far."""

    def __init__(self, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "slipway", "serve", "--port", "0", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        self.errors, self.output = "", ""
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True)
            for name in ("stderr", "stdout")
        ]
        for reader in self._readers:
            reader.start()
        self.url = ""

    def wait_until_ready(self, limit_s: float = _START_LIMIT_S) -> None:
        limit = time.monotonic() + limit_s
        while time.monotonic() < limit and self.process.poll() is None:
            if found := re.search(r"at (http://\S+)", self.errors):
                self.url = found.group(1)
                return
            time.sleep(0.02)
        raise AssertionError(f"the server did not start: {self.errors}")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20.0)

    def terminate(self) -> int:
        """SIGTERM, then the exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=20)
        for reader in self._readers:
            reader.join()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()

    def _read(self, name: str) -> None:
        stream = getattr(self.process, name)
        with stream:
            for line in stream:
                text = line.decode()
                if name == "stderr":
                    self.errors += text
                else:
                    self.output += text


@contextmanager
def running(
    *arguments: str,
    environment: dict[str, str] | None = None,
    start_limit_s: float = _START_LIMIT_S,
) -> Iterator[ServerProcess]:
    server = ServerProcess(list(arguments), environment)
    try:
        server.wait_until_ready(start_limit_s)
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def start_server() -> StartServer:
    return running


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """double, gather, mlp, each with its exam; slow (a quarter of a second) and endless without."""
    root = tmp_path_factory.mktemp("served")
    repository = root / "repository"
    graphs.doubler().publish(repository, "double", root)
    graphs.gather().publish(repository, "gather", root)
    graphs.mlp(16, 8).publish(repository, "mlp", root)
    alone = Batching(max_batch_size=1)
    graphs.slow(300_000).publish(repository, "slow", root, batching=alone)
    graphs.endless().publish(repository, "endless", root, batching=alone)
    return repository


@pytest.fixture(scope="session", params=["process", "none"])
def server(
    request: pytest.FixtureRequest, tiny_repository: Path, start_server: StartServer
) -> Iterator[ServerProcess]:
    """One server per kind of isolation, shared by tests that leave it as it was."""
    arguments = ["--repository", str(tiny_repository), "--isolation", request.param]
    with start_server(*arguments, "--max-body-bytes", "65536") as started:
        yield started


def infer_body(name: str, array: np.ndarray, **more: object) -> dict[str, object]:
    """A V2 infer request with one input."""
    datatype = {"float32": "FP32", "int64": "INT64"}[str(array.dtype)]
    tensor = {"name": name, "shape": list(array.shape), "datatype": datatype}
    return {"inputs": [tensor | {"data": array.ravel().tolist()}], **more}
