"""Generation as the front end sees it: stop texts, deadlines, departures and the engine's errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from models.bundle import Bundle
from models.errors import InferenceFailed, SlipwayError
from service.completion import Piece, complete, failure, stream
from service.errors import BadRequest, DeadlineExceeded, QueueFull, ShuttingDown, WorkerLost
from service.generation.request import GenerationEvent, GenerationRequest, SamplingParams
from service.observability.metrics import ModelMeters
from service.registry import ServedModel
from service.tasks import open_task
from service.tasks.detokenizer import Detokenizer
from service.workers.base import ModelKey
from tests.service.bundles import writer_bundle
from tests.service.fakes import STORY, FakePool


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return writer_bundle(tmp_path_factory.mktemp("completion") / "repository")


def served(bundle: Bundle, pool: FakePool | None = None) -> ServedModel:
    pool = pool or FakePool({bundle.name: "text-generation"})
    meters = ModelMeters(bundle.name, bundle.version)
    return ServedModel(bundle, pool, meters, open_task(bundle), state="ready")


def reader(model: ServedModel, *stop: str) -> Detokenizer:
    return Detokenizer(model.task.tokenizer, stop)  # type: ignore[union-attr]


def request(max_tokens: int = 12) -> GenerationRequest:
    return GenerationRequest((1,), SamplingParams(max_tokens=max_tokens, seed=0))


def test_pieces_add_up_to_the_text_and_the_last_one_says_why_it_ended(bundle: Bundle) -> None:
    async def scenario() -> list[Piece]:
        model = served(bundle)
        return [piece async for piece in stream(model, request(), reader(model))]

    pieces = asyncio.run(scenario())
    assert "".join(piece.text for piece in pieces) == STORY[:12]
    assert [piece.finish_reason for piece in pieces if piece.finish_reason] == ["length"]
    assert pieces[-1].finish_reason == "length"


def test_a_stop_text_ends_the_stream_and_cancels_the_work(bundle: Bundle) -> None:
    async def scenario() -> None:
        pool = FakePool({bundle.name: "text-generation"})
        model = served(bundle, pool)
        done = await complete(model, request(40), reader(model, "\n"))
        assert (done.reader.text, done.finish_reason) == ("x = 1", "stop")
        assert pool.cancelled == 1

    asyncio.run(scenario())


def test_leaving_the_stream_early_cancels_the_work(bundle: Bundle) -> None:
    async def scenario() -> int:
        pool = FakePool({bundle.name: "text-generation"})
        model = served(bundle, pool)
        async with aclosing(stream(model, request(40), reader(model))) as pieces:  # type: ignore[type-var]
            async for _ in pieces:
                break
        return pool.cancelled

    assert asyncio.run(scenario()) == 1


def test_a_deadline_cancels_the_work_and_says_how_far_it_came(bundle: Bundle) -> None:
    async def scenario() -> None:
        pool = FakePool({bundle.name: "text-generation"})
        pool.is_endless = True
        model = served(bundle, pool)
        soon = asyncio.get_running_loop().time() + 0.05
        with pytest.raises(DeadlineExceeded, match=r"\d+ tokens were; ask for fewer"):
            await complete(model, request(), reader(model), deadline=soon)
        assert pool.cancelled == 1

    asyncio.run(scenario())


class Broken(FakePool):
    """Tells two tokens, then fails as told."""

    def __init__(self, last: GenerationEvent | SlipwayError | None) -> None:
        super().__init__({})
        self._last = last

    async def generate(
        self, key: ModelKey, request: GenerationRequest
    ) -> AsyncIterator[GenerationEvent]:
        yield GenerationEvent((65, 66))
        if isinstance(self._last, SlipwayError):
            raise self._last
        if self._last is not None:
            yield self._last


def test_when_to_come_back_is_the_engines_to_say() -> None:
    full = GenerationEvent((), "error", "full", "queue_full", retry_after_s=12.5)
    again = GenerationEvent.from_json(full.to_json())
    assert again == full
    assert failure(again).retry_after_s == 12.5


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (GenerationEvent((), "error", "bad", "bad_request"), BadRequest),
        (GenerationEvent((), "error", "full", "queue_full"), QueueFull),
        (GenerationEvent((), "error", "ending", "shutting_down"), ShuttingDown),
        (GenerationEvent((), "error", "not finite", "inference_failed"), InferenceFailed),
        (GenerationEvent((), "error", "??", "of_another_time"), InferenceFailed),
        (GenerationEvent((), "cancelled"), InferenceFailed),
        (WorkerLost("the worker is gone"), WorkerLost),
        (None, InferenceFailed),
    ],
)
def test_what_the_engine_answers_instead_of_text_is_raised(
    bundle: Bundle, last: GenerationEvent | SlipwayError | None, kind: type[SlipwayError]
) -> None:
    async def scenario() -> None:
        model = served(bundle, Broken(last))
        with pytest.raises(kind):
            await complete(model, request(), reader(model))

    asyncio.run(scenario())
