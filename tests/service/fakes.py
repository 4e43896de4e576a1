"""A pool that computes with numpy what the test says, and an application around it.

Batcher, registry, routes and error handling are the real ones; only the graph is not.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import numpy as np
from fastapi import FastAPI
from starlette.testclient import TestClient
from tokenizers import Tokenizer

from models.bundle import Bundle
from service.app import create_app
from service.batching.batcher import Batcher, limits_of
from service.generation.request import GenerationEvent, GenerationRequest, TokenLogprobs
from service.observability.metrics import Metrics, ModelMeters
from service.observability.observe import Observed, Observer
from service.registry import ModelRegistry, ServedModel
from service.selection.choice import Choice
from service.settings import Settings
from service.tasks import open_task
from service.workers.base import Arrays, LoadReport, ModelKey, RunResult
from tests.service import picture_bundles
from tests.service.bundles import byte_tokenizer
from tests.service.text_bundles import embedded, likeness

Compute = Callable[[str, Arrays], Arrays]

STORY = "x = 1\nreturn x\n" * 8


def compute(task: str, inputs: Arrays) -> Arrays:
    """Answers that a test can predict: the class is the row sum, the picture is all label ÷ 10."""
    if task == "image-classification":
        picked = np.rint(inputs["image"].reshape(len(inputs["image"]), -1).sum(1)).astype(int) % 10
        return {"logits": 5 * np.eye(10, dtype=np.float32)[picked]}
    if task == "text-classification":
        lengths = inputs["attention_mask"].sum(1) % 3
        return {"logits": 5 * np.eye(3, dtype=np.float32)[lengths]}
    if task == "sentence-embedding":
        return {"embedding": embedded(inputs["input_ids"], inputs["attention_mask"])}
    if task == "image-embedding":
        return {"embedding": picture_bundles.embedded(inputs["image"])}
    if task == "visual-anomaly-detection":
        return picture_bundles.inspected(inputs["image"])
    if task == "text-similarity":
        return {"logits": likeness(inputs["attention_mask"], inputs["token_type_ids"])}
    if "guidance" in inputs:
        picture = (inputs["label"] / 5 - 1).astype(np.float32)[:, None, None, None]
        guided = picture * (inputs["guidance"] / 2)[:, None, None, None]
        return {"prediction": np.float32(0.5) * inputs["x"] - guided}
    if task == "image-generation":
        level = (inputs["label"] / 10).astype(np.float32)
        noise = np.tanh(inputs["noise"].mean(1)) * 0.4
        return {"image": np.clip(level + noise, 0, 1)[:, None, None, None] * np.ones((1, 1, 8, 8))}
    return {"y": inputs["x"] * 2}


class FakePool:
    """Runs `compute`; generation tells `story` byte by byte, rotated by the seed."""

    size = 1
    is_healthy = True

    def __init__(self, tasks: dict[str, str], compute: Compute = compute) -> None:
        self._tasks, self._compute = tasks, compute
        self._tokenizer = Tokenizer.from_str(byte_tokenizer())
        self.requests: list[GenerationRequest] = []
        self.cancelled = 0
        self.is_endless = False
        self.story = STORY

    def pids(self) -> list[int]:
        return []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def load(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        return LoadReport(0.0, 0.0, "fake", 1)

    async def unload(self, key: ModelKey) -> None: ...

    async def run(self, key: ModelKey, inputs: Arrays) -> RunResult:
        return RunResult(self._compute(self._tasks[key.name], inputs), 0.001)

    async def generate(
        self, key: ModelKey, request: GenerationRequest
    ) -> AsyncIterator[GenerationEvent]:
        self.requests.append(request)
        turn = (request.sampling.seed or 0) % len(self.story)
        ids = self._tokenizer.encode(self.story[turn:] + self.story[:turn]).ids
        is_finished = False
        try:
            for position, token in enumerate(ids[: request.sampling.max_tokens]):
                await asyncio.sleep(0)
                yield told(request, position, token)
            while self.is_endless:
                await asyncio.sleep(0.01)
                yield GenerationEvent((ids[0],))
            is_finished = True
            yield GenerationEvent((), "length")
        finally:
            self.cancelled += not is_finished


def told(request: GenerationRequest, position: int, token: int) -> GenerationEvent:
    """A token, half as likely as none; of a prompt's tokens, each a quarter."""
    wanted = request.sampling.logprobs
    found = () if wanted is None else (TokenLogprobs(-0.5, ((token, -0.5), (0, -1.0))[:wanted]),)
    prompt: tuple[TokenLogprobs | None, ...] = ()
    if position == 0 and request.prompt_logprobs is not None:
        prompt = (None, *(TokenLogprobs(-0.25) for _ in request.prompt_ids[1:]))
    return GenerationEvent((token,), logprobs=found, prompt_logprobs=prompt)


class Service:
    """An application with models served by a fake pool; `client` speaks HTTP to it."""

    def __init__(self, bundles: list[Bundle], compute: Compute = compute) -> None:
        self.registry = ModelRegistry()
        self.metrics = Metrics({"version": "test"})
        self.pool = FakePool({b.name: b.manifest.task for b in bundles}, compute)
        self.bundles = bundles
        self.app: FastAPI = create_app(self.registry, Settings(request_timeout_s=5.0), self.metrics)
        self.asgi = Observed(self.app, Observer(self.metrics), max_body_bytes=4 << 20)
        self.client: TestClient

    async def load(self) -> None:
        for bundle in self.bundles:
            meters = self.metrics.model(ModelKey(bundle.name, bundle.version))
            model = ServedModel(bundle, self.pool, meters, open_task(bundle), state="ready")
            if bundle.manifest.runner == "batch":
                model.batcher = self._batcher(model, meters)
            self.registry.add(model)
        self.registry.is_loading = False

    def _batcher(self, model: ServedModel, meters: ModelMeters) -> Batcher:
        key, manifest = model.key, model.manifest
        limits = limits_of(manifest.batching, 1)
        return Batcher(lambda inputs: self.pool.run(key, inputs), manifest, limits, meters)

    async def unload(self) -> None:
        for model in self.registry:
            if model.batcher is not None:
                await model.batcher.close()


@contextmanager
def serving(bundles: list[Bundle], compute: Compute = compute) -> Iterator[Service]:
    service = Service(bundles, compute)
    with TestClient(service.asgi, raise_server_exceptions=True) as client:
        service.client = client
        assert client.portal is not None
        client.portal.call(service.load)
        yield service
        client.portal.call(service.unload)
