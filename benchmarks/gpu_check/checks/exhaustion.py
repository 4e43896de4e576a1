"""Out of memory: a model beyond its limit is refused, a batch beyond it fails alone, no worker ends."""

from collections.abc import Iterator

import numpy as np

from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, judged
from benchmarks.gpu_check.serving import gpu_server
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.graphs.resnets import SIDE, publish_resnet
from benchmarks.harness.messages import binary_message
from benchmarks.harness.processes import Server, get, request
from models.errors import SlipwayError
from models.runtimes import open_session
from models.runtimes.base import LoadOutOfMemory, SessionOptions
from models.runtimes.gpu import GpuOptions
from models.runtimes.graph import Graph

_MODEL, _PATH = "resnet-50", "/v2/models/resnet-50/infer"
_ROWS = 256
_BODY_BYTES = 256 << 20
# Of the device's memory beside the weights: one picture runs in it, whatever its convolutions want as
# workspace; 256 do not (an activation of a picture takes 3.2 MB, and two are alive at a time).
_ROOM_BYTES = 512 << 20


def run(workplace: Workplace) -> Iterator[Result]:
    repository = workplace.folder / "repository"
    publish_resnet(repository, workplace.folder / "staged", 50, _ROWS)
    graph = Graph.of(bundles_of(repository)[0])
    yield refused(workplace, graph)
    limit = str(graph.size_bytes + _ROOM_BYTES)
    flags = ("--gpu-memory-bytes", limit, "--workers", "1", "--max-body-bytes", str(_BODY_BYTES))
    with gpu_server(workplace, repository, *flags) as server:
        yield from survived(server)


def refused(workplace: Workplace, graph: Graph) -> Result:
    """A model that is larger than it may be."""
    gpu = GpuOptions(device_id=workplace.device, memory_bytes=graph.size_bytes // 2)
    options = SessionOptions(provider=workplace.providers[0], gpu=gpu)
    what = "a model beyond its limit is refused"
    try:
        open_session("onnxruntime", graph, options).close()
    except LoadOutOfMemory as error:
        return judged(what, True, detail=error.message)
    except SlipwayError as error:
        return judged(what, False, detail=f"{error.reason}: {error.message}")
    return judged(what, False, detail="it was opened")


def survived(server: Server) -> Iterator[Result]:
    """A server in which a batch is too large: that request alone fails, and no worker is replaced."""
    first = ask(server, 1)
    large = ask(server, _ROWS)
    after = ask(server, 1)
    restarts = restarted(get(server.port, "/metrics")[1].decode())
    yield judged("a single picture before", first[0] == 200, detail=first[1])
    is_told = large[0] == 503 and "out_of_memory" in large[1]
    what = f"{_ROWS} pictures at once are refused as out of memory"
    yield judged(what, is_told, target="503 out_of_memory", detail=f"{large[0]}: {large[1]}")
    yield judged("a single picture after", after[0] == 200, detail=after[1])
    yield judged("no worker was replaced", restarts == 0, figure=restarts, target="0")


def ask(server: Server, rows: int) -> tuple[int, str]:
    """Status, and the beginning of what is said where it is not 200."""
    inputs = {"x": np.zeros((rows, 3, SIDE, SIDE), np.float32)}
    message = binary_message(inputs, ["y"])
    status, body = request(server.port, "POST", _PATH, message.body, message.headers, timeout_s=60)
    return status, "" if status == 200 else body[:200].decode(errors="replace")


def restarted(metrics: str) -> float:
    """Workers that were replaced for whatever reason, by the server's own count."""
    lines = [
        line for line in metrics.splitlines() if line.startswith("slipway_worker_restarts_total")
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
