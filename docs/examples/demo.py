"""`make demo`: from training to an answer over HTTP, with one model for every kind of work.

Trains and publishes whatever is not published yet, starts the server, asks each model what a person
would ask, and keeps serving until Ctrl-C. Without a terminal it ends after the answers. Which models, and
why they are small, says `demo_models`; what they are asked, `questions`.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from docs.examples import lane
from docs.examples.demo_models import DEMO, DemoModel
from docs.examples.questions import QUESTIONS, Answer
from models.catalog import default_repository, list_versions, scan

PREFERRED_PORT = 8000
START_LIMIT_S = 60.0
MOST_LANES = 4  # a training takes up to a gigabyte of memory
_RULE = 90
_WIDTH = max(len(model.recipe) for model in DEMO)


def train_missing(repository: Path) -> None:
    """Publish what the repository lacks; what it has is reused."""
    sound = {bundle.name for bundle in scan(repository).bundles} if repository.is_dir() else set()
    missing = [model for model in DEMO if model.recipe not in sound]
    for model in DEMO:
        if model.recipe in sound:
            version = list_versions(repository, model.recipe)[-1]
            print(f"{model.recipe}: version {version} is published, reusing it")
    if not missing:
        return
    lanes = min(MOST_LANES, len(os.sched_getaffinity(0)))
    print(f"training {len(missing)} of {len(DEMO)} models, {lanes} at a time on a core each")
    start = time.perf_counter()
    with ThreadPoolExecutor(lanes) as pool:
        running = {pool.submit(_train, model, repository): model for model in missing}
        try:
            for number, done in enumerate(as_completed(running), start=1):
                code, told = done.result()
                elapsed_s = time.perf_counter() - start
                title = (
                    f"{number} of {len(missing)}: {running[done].recipe}, after {elapsed_s:.0f} s"
                )
                print(f"\n━━━ {title} ".ljust(_RULE, "━"), told, sep="\n")
                if code:
                    sys.exit(code)
        except BaseException:  # a failed one, or Ctrl-C, which ends those that run as well
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _train(model: DemoModel, repository: Path) -> tuple[int, str]:
    """(exit code, what the run said)."""
    settings = [part for setting in model.settings for part in ("--set", setting)]
    command = ["train", model.recipe, "--repository", str(repository)]
    return lane.run([*command, "--set", "cpu_threads=1", *settings])


@contextmanager
def serving(repository: Path) -> Iterator[str]:
    """A server process of its own on a free port, ready; stopped as an operator would stop it."""
    port = _free_port()
    command = [sys.executable, "-m", "slipway", "serve", "--no-access-log"]
    process = subprocess.Popen([*command, "--repository", str(repository), "--port", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def _free_port() -> int:
    for port in (PREFERRED_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(
                f"error: the server stopped with code {process.returncode}; its reason is above"
            )
        try:
            with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    sys.exit(f"error: the server was not ready after {START_LIMIT_S:.0f} s")


def show(model: str, answer: Answer) -> None:
    first, *rest = answer.answer.splitlines() or [""]
    print(f"\n{model:{_WIDTH}} asked     {answer.question}")
    print(f"{'':{_WIDTH}} answered  {first}")
    for line in rest:
        print(f"{'':{_WIDTH + 10}} {line}")
    print(f"{'':{_WIDTH}} in        {answer.latency_ms:.1f} ms")


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # in order with the server's lines, also in a file
    repository = default_repository()
    start = time.perf_counter()
    train_missing(repository)
    took_s = time.perf_counter() - start
    print(f"\n{len(DEMO)} models published in {repository} after {took_s:.0f} s")
    with serving(repository) as url:
        for model, ask in QUESTIONS.items():
            show(model, ask(url))
        print(
            f"\nserving on {url}   try it: {url}/   endpoints: {url}/docs   metrics: {url}/metrics"
        )
        if sys.stdout.isatty():
            print("Ctrl-C stops the server")
            try:
                while True:
                    time.sleep(3600)
            except KeyboardInterrupt:
                print("\nstopping")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
