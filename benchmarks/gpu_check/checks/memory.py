"""Does the device get its memory back? When a session is closed, and when a server unloads a model."""

import gc
import json
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, at_most, judged
from benchmarks.gpu_check.serving import gpu_server
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.graphs.mlp import publish_mlp
from benchmarks.graphs.resnets import SIDE, publish_resnet
from benchmarks.harness.processes import request
from models.runtimes import open_session
from models.runtimes.base import SessionOptions
from models.runtimes.gpu import GpuOptions
from models.runtimes.graph import Graph

_BATCH = 32
_MOST_KEPT = 64 << 20  # bytes: what the driver rounds up to, and fragments
_SETTLE_S = 2.0
_MODEL = "resnet-50"


def run(workplace: Workplace) -> Iterator[Result]:
    repository = workplace.folder / "repository"
    publish_resnet(repository, workplace.folder / "staged", 50, _BATCH)
    publish_mlp(repository, workplace.folder / "staged-mlp")
    yield closed(workplace)
    yield from unloaded(workplace)


def closed(workplace: Workplace) -> Result:
    """In this process. A first session wakes the driver, whose own memory stays until the process ends."""
    small, large = bundles_of(workplace.folder / "repository")
    gpu = GpuOptions(device_id=workplace.device)
    options = SessionOptions(provider=workplace.providers[0], gpu=gpu)
    open_session("onnxruntime", Graph.of(small), options).close()
    gc.collect()
    before = workplace.used_bytes(workplace.device)
    session = open_session("onnxruntime", Graph.of(large), options)
    session.run({"x": np.zeros((_BATCH, 3, SIDE, SIDE), np.float32)})
    during = workplace.used_bytes(workplace.device)
    session.close()
    del session
    gc.collect()
    return judge("session closed", before, during, workplace.used_bytes(workplace.device))


def unloaded(workplace: Workplace) -> Iterator[Result]:
    """In a server's workers, which live on."""
    flags = ("--model-control-mode", "explicit", "--model", "mlp", "--workers", "1")
    with gpu_server(workplace, workplace.folder / "repository", *flags) as server:

        def control(word: str) -> int:
            path = f"/v2/repository/models/{_MODEL}/{word}"
            return request(server.port, "POST", path, b"{}", timeout_s=60)[0]

        before = _settled(workplace)
        statuses = [control("load")]
        during = _settled(workplace)
        statuses.append(control("unload"))
        after = _settled(workplace)
        ready, body = request(server.port, "GET", "/v2/models/mlp/ready", timeout_s=10)
    said = json.dumps(statuses)
    yield judged("load and unload answered 200", statuses == [200, 200], detail=said)
    yield judge("model unloaded from a server", before, during, after)
    what = "its neighbour is still ready"
    yield judged(what, ready == 200, detail=body[:100].decode(errors="replace"))


def judge(what: str, before: int, during: int, after: int) -> Result:
    """`before`, `during`, `after`: bytes in use on the device."""
    detail = f"{_mib(before)} before, {_mib(during)} with the model, {_mib(after)} after"
    if during <= before:
        return judged(what, False, detail=f"{detail}: the model took nothing, so nothing is proven")
    kept = max(0, after - before)
    return at_most(f"{what}: kept", kept / 2**20, _MOST_KEPT / 2**20, "MiB", detail)


def _settled(workplace: Workplace, sleep: Callable[[float], None] = time.sleep) -> int:
    sleep(_SETTLE_S)
    return workplace.used_bytes(workplace.device)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
