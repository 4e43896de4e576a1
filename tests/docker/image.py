"""A built image as its tests see it: its root, its settings, and containers that run it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.grafana.prometheus import free_port

_START_LIMIT_S = 60.0
_RUNTIME = Path(__file__).with_name("container.py")


@dataclass(frozen=True)
class Image:
    root: Path
    settings: dict[str, Any]
    scratch: Path

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = self.settings["config"]
        return found

    @property
    def environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.config["Env"])

    @property
    def site_packages(self) -> Path:
        [found] = self.root.glob("opt/venv/lib/python3*/site-packages")
        return found

    def command(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
    ) -> list[str]:
        """The command line that runs `command` in a container; its image's settings decide the rest."""
        user, group = self.config["User"].split(":")
        spec = {
            "root": str(self.root),
            "command": [*command],
            "environment": self.environment | (environment or {}),
            "user": int(user),
            "group": int(group),
            "directory": self.config["WorkingDir"],
            "mounts": {str(source): inside for source, inside in (mounts or {}).items()},
        }
        file = self.scratch / f"spec-{time.monotonic_ns()}.json"
        file.write_text(json.dumps(spec))
        return [sys.executable, str(_RUNTIME), str(file)]

    def run(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        line = self.command(command, environment)
        return subprocess.run(line, capture_output=True, text=True, timeout=120)

    @contextmanager
    def serving(
        self, repository: Path, environment: Mapping[str, str] | None = None
    ) -> Iterator["Served"]:
        """The image's own entry point and arguments, with models mounted where it expects them."""
        port = free_port()
        own = {"SLIPWAY_PORT": str(port), "SLIPWAY_HOST": "127.0.0.1"}
        line = self.command(
            [*self.config["Entrypoint"], *self.config["Cmd"]],
            own | dict(environment or {}),
            {repository: self.environment["SLIPWAY_REPOSITORY"]},
        )
        served = Served(line, port)
        try:
            served.wait_until_ready()
            yield served
        finally:
            served.close()


class Served:
    """A container that serves; `errors` is what it has written to standard error so far."""

    def __init__(self, command: list[str], port: int) -> None:
        self.url, self.errors = f"http://127.0.0.1:{port}", ""
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        limit = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < limit and self._process.poll() is None:
            if "serving " in self.errors:
                return
            time.sleep(0.05)
        raise AssertionError(f"the image did not serve: {self.errors}")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30.0)

    @property
    def server_pid(self) -> int:
        """The server's process as this machine numbers it: the only child of the one that set it up."""
        own = self._process.pid
        [child] = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return int(child)

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self) -> int:
        code = self._process.wait(timeout=60)
        self._reader.join()
        return code

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()  # its child goes with it
        self.wait()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                self.errors += line.decode()
