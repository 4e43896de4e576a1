"""A real server under real load of every kind that the dashboards show, watched by a real Prometheus."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import httpx
import numpy as np
import orjson

from models.manifest import Batching
from service.bench.answers import WholeReader
from service.bench.figures import Figures, figures
from service.bench.loops import Timing, Work, closed_loop
from service.bench.target import Target
from tests.grafana.cluster import cluster_page
from tests.grafana.prometheus import Prometheus
from tests.grafana.prometheus import running as prometheus_running
from tests.service import graphs
from tests.service.bundles import CHAT_CONTEXT_TOKENS, chat_bundle
from tests.service.conftest import ROOT, ServerProcess, infer_body
from tests.service.conftest import running as server_running
from tests.service.real_bundles import decoder

STEADY, TEXTS = "steady", "chat"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
_TRACED = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
_STEADY_STEPS = 10_000
"""Some 10 ms on a core of its own: long enough for the load generator's own work not to blur the figures."""
_CHAT_VOCABULARY = 258
_TARGETS = (f"{STEADY}=p95_ms=40", "batched=p95_ms=0.5")
"""The first is kept by a load of two and missed by one of eighty; the second cannot be kept."""


@dataclass(frozen=True)
class Load:
    """What a closed loop measured, and when, in seconds since 1970. `good_s`: when each good answer came."""

    figures: Figures
    start_s: float
    end_s: float
    good_s: tuple[float, ...]

    def per_second(self, start_s: float, end_s: float) -> float:
        return sum(start_s < moment <= end_s for moment in self.good_s) / (end_s - start_s)


@dataclass(frozen=True)
class World:
    server: ServerProcess
    prometheus: Prometheus

    def load(self, model: str, concurrency: int, seconds: float, warm_s: float = 0.0) -> Load:
        """V2 requests of one row, each sent when the answer before it has come."""
        target = Target.of(self.server.url, _TRACED)
        body = orjson.dumps(infer_body("x", np.ones((1, 2), np.float32)))
        request = target.post(f"/v2/models/{model}/infer", body)
        work = Work(target, repeat(request), lambda _: WholeReader())
        timing = Timing(seconds, warm_s)

        async def run() -> Load:
            offset = time.time() - time.perf_counter()
            found = await closed_loop(
                work, concurrency, timing, asyncio.Event(), lambda measured: None
            )
            measured = figures(found, is_open=False)
            good = tuple(offset + one.ended_s for one in found.exchanges if one.is_good)
            return Load(measured, offset + found.start_s, offset + found.end_s, good)

        return asyncio.run(run())

    def texts(self, seconds: float) -> None:
        """`slipway bench` has them written, three at a time."""
        command = [
            sys.executable, "-m", "slipway", "bench", self.server.url, TEXTS, "--generate",
            "--concurrency", "3", "--duration-s", f"{seconds:g}", "--prompt-tokens", "80",
            "--output-tokens", "24",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr.decode()

    def repeat_a_prompt(self) -> None:
        """Its beginning is kept, and what repeats itself can be guessed."""
        asked = {
            "model": TEXTS,
            "prompt": "again and again, " * 12,
            "max_tokens": 96,
            "temperature": 0,
            "ignore_eos": True,
        }
        with httpx.Client(base_url=self.server.url, timeout=30.0) as client:
            for _ in range(3):
                answer = client.post("/v1/completions", json=asked)
                assert answer.status_code == 200, answer.text


def publish(root: Path) -> Path:
    """A repository with a model for every row of the dashboards, one of them broken."""
    repository = root / "repository"
    graphs.slow(_STEADY_STEPS).publish(
        repository, STEADY, root, batching=Batching(max_batch_size=1)
    )
    graphs.mlp(2, 8).publish(repository, "batched", root)
    chat_bundle(repository, TEXTS, decoder(root, CHAT_CONTEXT_TOKENS, _CHAT_VOCABULARY))
    broken = graphs.doubler(2).publish(repository, "broken", root)
    graph = next(Path(broken.path).glob("*.onnx"))
    graph.write_bytes(graph.read_bytes() + b"changed")
    return repository


@contextmanager
def living(root: Path, *, has_cluster: bool = True) -> Iterator[World]:
    repository = publish(root)
    options = ["--generation-lookup-tokens", "4"]
    for target in _TARGETS:
        options += ["--latency-target", target]
    with (
        server_running("--repository", str(repository), "--workers", "2", *options) as server,
        cluster_page() as cluster,
        prometheus_running(
            root, [server.url.removeprefix("http://")], cluster if has_cluster else ""
        ) as prometheus,
    ):
        prometheus.until(lambda: prometheus.query("slipway_build_info"), "the first scrape")
        yield World(server, prometheus)
