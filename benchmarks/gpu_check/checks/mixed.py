"""One server, one model on the GPU and one on the CPU, asked at the same time."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, at_most, judged
from benchmarks.gpu_check.serving import gpu_server
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.graphs.mlp import mlp_input, publish_mlp
from benchmarks.harness.answers import ask
from benchmarks.harness.messages import binary_message
from benchmarks.harness.processes import Server, get
from models.runtimes import open_session
from models.runtimes.base import SessionOptions
from models.runtimes.graph import Graph

ON_GPU, ON_CPU = "on-gpu", "on-cpu"
_CALLERS, _REQUESTS = 16, 200
_AGREEMENT = 1e-4
_SESSION = re.compile(r"^slipway_session_info\{([^}]*)\}", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def run(workplace: Workplace) -> Iterator[Result]:
    repository = workplace.folder / "repository"
    publish_mlp(repository, workplace.folder / "staged", (ON_GPU, ON_CPU))
    inputs = {"x": mlp_input(4)}
    session = open_session("onnxruntime", Graph.of(bundles_of(repository)[0]), SessionOptions())
    expected = session.run(inputs)["y"]
    with gpu_server(workplace, repository, "--model-provider", f"{ON_CPU}=cpu") as server:
        yield from asked(server, inputs, expected)
        found = providers_of(get(server.port, "/metrics")[1].decode())
    wanted = {ON_GPU: workplace.providers[0], ON_CPU: "cpu"}
    yield judged("each model computes where it should", found == wanted, detail=str(found))


def asked(
    server: Server, inputs: Mapping[str, np.ndarray], expected: np.ndarray
) -> Iterator[Result]:
    """Both models by many callers; the largest difference to the CPU's own answer."""
    message = binary_message(inputs, ["y"])

    def difference(number: int) -> float:
        model = (ON_GPU, ON_CPU)[number % 2]
        answer = ask(server.port, f"/v2/models/{model}/infer", message)["y"]
        return float(np.abs(answer - expected).max())

    with ThreadPoolExecutor(_CALLERS) as callers:
        worst = max(callers.map(difference, range(_REQUESTS)))
    yield at_most(f"{_REQUESTS} answers of both, {_CALLERS} callers: difference", worst, _AGREEMENT)


def providers_of(metrics: str) -> dict[str, str]:
    """Model → the provider that computes it, as the server's metrics say."""
    sessions = [dict(_LABEL.findall(labels)) for labels in _SESSION.findall(metrics)]
    return {labels["model"]: labels["active_provider"] for labels in sessions}
