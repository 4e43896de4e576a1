"""How much of the GPU's speed reaches callers over HTTP? Beside a loop around the bare session.

Requests carry several items, as callers of large models send them, so that it is the server and not the
number of requests that is measured. The bare loop has every array ready in memory and tries all its ways;
server and loop are told the same (products in TF32), and take turns.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.gpu_check.bare import BareSession, Subject, Way
from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, at_least, not_run
from benchmarks.gpu_check.serving import Callers, gpu_server, rate_of
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.graphs.encoders import OUTPUT, SIZES, publish_encoder, texts
from benchmarks.graphs.resnets import SIDE, publish_resnet
from benchmarks.harness.answers import check
from benchmarks.harness.messages import binary_message
from models.runtimes.base import SessionOptions
from models.runtimes.gpu import GpuOptions
from models.runtimes.graph import Graph

TARGET = 0.9
_MOST_BATCH = 64
_BATCHES, _THREADS = (8, 32, 64), (1, 2)
_ROUNDS = 2
_TOKENS = 128
_CONNECTIONS = 16  # of each process of callers
_MOST_FRONTENDS = 4
_LEAST_S = 25.0


def run(workplace: Workplace) -> Iterator[Result]:
    repository = workplace.folder / "repository"
    for subject in published(repository, workplace.folder):
        what = f"{subject.name} over HTTP ÷ bare loop"
        if workplace.left_s < _LEAST_S:
            yield not_run(what, "the time was over")
            continue
        yield measured(workplace, repository, subject, what)


def published(repository: Path, folder: Path) -> Iterator[Subject]:
    """One after the other: a model is made when its turn comes."""
    publish_resnet(repository, folder / "staged-resnet", 50, _MOST_BATCH)
    picture = np.random.default_rng(2).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    yield Subject("resnet-50", 8, {"x": picture}, "y")
    for name in ("minilm", "bert-base"):
        publish_encoder(repository, folder / f"staged-{name}", SIZES[name], _MOST_BATCH)
        yield Subject(name, 16, texts(SIZES[name], 1, _TOKENS), OUTPUT)


def measured(workplace: Workplace, repository: Path, subject: Subject, what: str) -> Result:
    gpu = GpuOptions(device_id=workplace.device, tf32=True)
    options = SessionOptions(provider=workplace.providers[0], gpu=gpu)
    [bundle] = [one for one in bundles_of(repository) if one.name == subject.name]
    frontends = max(1, min(_MOST_FRONTENDS, workplace.cores // 4))
    callers = Callers(frontends, _CONNECTIONS)
    flags = ("--model", subject.name, "--frontends", str(frontends), "--gpu-tf32")
    bare = BareSession(Graph.of(bundle), options)
    way = bare.best(subject, _BATCHES, _THREADS)
    alone, served = [], []
    with ExitStack() as stack:
        server = stack.enter_context(gpu_server(workplace, repository, *flags))
        inputs = subject.batch(subject.rows)
        message = binary_message(inputs, [subject.output])
        path = f"/v2/models/{subject.name}/infer"
        check(server.port, path, message, bare.run(inputs))
        for _ in range(_ROUNDS):
            alone.append(bare.rate(subject, way, workplace.seconds))
            answers = rate_of(server, [message.http(path)], callers, workplace.seconds, 1.0)
            served.append(answers * subject.rows)
    detail = (
        f"{callers.total} connections, {subject.rows} items in each request, {frontends} front ends"
    )
    return judge(what, served, alone, way, detail)


def judge(what: str, served: list[float], alone: list[float], way: Way, detail: str) -> Result:
    """Items per second, round by round."""
    share = median(mine / other for mine, other in zip(served, alone, strict=True))
    rates = f"{median(served):,.0f} items/s served, {median(alone):,.0f} bare ({way})"
    return at_least(what, share, TARGET, "×", f"{rates}; {detail}")
