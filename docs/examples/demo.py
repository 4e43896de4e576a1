"""`make demo`: four models from training to an answer over HTTP.

Trains and publishes whatever is not published yet, starts the server, asks each model what a person
would ask, and keeps serving until Ctrl-C. Without a terminal it ends after the answers.
"""

import base64
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import slipway
from models.catalog import default_repository, list_versions, scan

EXAMPLES = Path(__file__).parent
RECIPES = ("digits", "language-id", "digits-vae", "pycode-gpt")
PREFERRED_PORT = 8000
START_LIMIT_S = 60.0

PHRASE = "Var ligger närmaste järnvägsstation?"
PROMPT = "def read_"


@dataclass(frozen=True)
class Answer:
    model: str
    question: str
    answer: str
    latency_ms: float


def train_missing(repository: Path) -> None:
    """Publish what the repository lacks; what it has is reused."""
    sound = {bundle.name for bundle in scan(repository).bundles} if repository.is_dir() else set()
    for recipe in RECIPES:
        if recipe in sound:
            print(
                f"{recipe}: version {list_versions(repository, recipe)[-1]} is published, reusing it"
            )
            continue
        code = slipway.main(["train", recipe, "--repository", str(repository)])
        if code:
            sys.exit(code)


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


def _post(url: str, body: bytes, content_type: str) -> tuple[dict[str, object], float]:
    """(decoded answer, milliseconds as the caller sees them)."""
    request = urllib.request.Request(url, body, {"content-type": content_type})
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as response:
        data = response.read()
    return json.loads(data), (time.perf_counter() - start) * 1e3


def _post_json(url: str, body: dict[str, object]) -> tuple[dict[str, object], float]:
    return _post(url, json.dumps(body).encode(), "application/json")


def ask_digits(url: str) -> Answer:
    picture = (EXAMPLES / "seven.png").read_bytes()
    reply, latency_ms = _post(f"{url}/v1/models/digits/predict", picture, "image/png")
    return Answer("digits", "docs/examples/seven.png", _labels(reply), latency_ms)


def ask_language(url: str) -> Answer:
    reply, latency_ms = _post_json(f"{url}/v1/models/language-id/predict", {"text": PHRASE})
    return Answer("language-id", f"“{PHRASE}”", _labels(reply), latency_ms)


def ask_code(url: str) -> Answer:
    body: dict[str, object] = {"model": "pycode-gpt", "prompt": PROMPT, "max_tokens": 48}
    reply, latency_ms = _post_json(f"{url}/v1/completions", {**body, "temperature": 0.6, "seed": 1})
    return Answer("pycode-gpt", f"“{PROMPT}”", PROMPT + reply["choices"][0]["text"], latency_ms)


def ask_image(url: str) -> Answer:
    body: dict[str, object] = {"model": "digits-vae", "prompt": "3", "seed": 4}
    reply, latency_ms = _post_json(f"{url}/v1/images/generations", body)
    target = Path("runs") / "demo-three.png"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(base64.b64decode(reply["data"][0]["b64_json"]))
    return Answer("digits-vae", "draw a “3”", f"{target}\n{_as_blocks(target)}", latency_ms)


def _labels(reply: dict[str, object]) -> str:
    best = reply["predictions"][0]["labels"][:3]
    return "   ".join(f"{row['label']} {row['score']:.1%}" for row in best)


def _as_blocks(picture: Path) -> str:
    """The picture in characters, for a terminal."""
    from PIL import Image

    small = Image.open(picture).convert("L").resize((16, 8), Image.Resampling.BOX)
    shades, levels = " ░▒▓█", list(small.tobytes())
    rows = (levels[start : start + 16] for start in range(0, len(levels), 16))
    return "\n".join("".join(shades[level * 5 // 256] for level in row) for row in rows)


QUESTIONS: tuple[Callable[[str], Answer], ...] = (ask_digits, ask_language, ask_code, ask_image)


def show(answer: Answer) -> None:
    first, *rest = answer.answer.splitlines() or [""]
    print(f"\n{answer.model:12} asked     {answer.question}")
    print(f"{'':12} answered  {first}")
    for line in rest:
        print(f"{'':22} {line}")
    print(f"{'':12} in        {answer.latency_ms:.1f} ms")


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # in order with the server's lines, also in a file
    repository = default_repository()
    start = time.perf_counter()
    train_missing(repository)
    print(f"\nfour models published in {repository} after {time.perf_counter() - start:.0f} s")
    with serving(repository) as url:
        for ask in QUESTIONS:
            show(ask(url))
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
