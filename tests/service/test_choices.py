"""Several answers side by side: order, failures, callers that leave or do not read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from models.bundle import Bundle
from service.choices import MOST_UNREAD, Choice, complete_all, pieces_of
from service.completion import Piece
from service.errors import DeadlineExceeded, QueueFull, SlowReader
from service.generation.request import GenerationEvent, GenerationRequest, SamplingParams
from service.observability.metrics import ModelMeters
from service.registry import ServedModel
from service.tasks import open_task
from service.tasks.text_generation import TextGeneration
from service.terms import Terms
from tests.service.bundles import writer_bundle
from tests.service.fakes import STORY, FakePool
from tests.service.loops import in_loop


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return writer_bundle(tmp_path_factory.mktemp("choices") / "repository")


def served(bundle: Bundle, pool: FakePool) -> ServedModel:
    return ServedModel(bundle, pool, ModelMeters("writer", 1), open_task(bundle), state="ready")


def choices(model: ServedModel, count: int, max_tokens: int = 8) -> list[Choice]:
    task = model.task
    assert isinstance(task, TextGeneration)
    return [
        Choice(
            GenerationRequest((1, 2), SamplingParams(max_tokens=max_tokens, seed=seed)),
            task.new_reader(task.parse_options({})),
        )
        for seed in range(count)
    ]


async def texts_of(pieces: AsyncIterator[tuple[int, Piece]], texts: list[str]) -> None:
    async for _, piece in pieces:
        texts.append(piece.text)


def pool_of(bundle: Bundle) -> FakePool:
    return FakePool({bundle.name: "text-generation"})


@in_loop
async def test_answers_come_in_the_order_of_the_choices(bundle: Bundle) -> None:
    model = served(bundle, pool_of(bundle))
    done = await complete_all(model, choices(model, 3), Terms())
    assert [each.reader.text for each in done] == [STORY[seed : seed + 8] for seed in range(3)]
    assert model.meters.in_flight == 0


@in_loop
async def test_pieces_of_all_choices_make_their_answers(bundle: Bundle) -> None:
    model = served(bundle, pool_of(bundle))
    texts = ["", "", ""]
    async for index, piece in pieces_of(model, choices(model, 3), Terms()):
        assert model.meters.in_flight == 1
        texts[index] += piece.text
    assert texts == [STORY[seed : seed + 8] for seed in range(3)]
    assert model.meters.in_flight == 0
    assert model.meters.written.finished == {"length": 3}


@in_loop
async def test_leaving_ends_every_choice(bundle: Bundle) -> None:
    pool = pool_of(bundle)
    pool.is_endless = True
    model = served(bundle, pool)
    async with aclosing(pieces_of(model, choices(model, 3), Terms())) as pieces:
        await anext(pieces)
    assert pool.cancelled == 3
    assert model.meters.in_flight == 0
    assert model.meters.written.finished == {"abort": 3}


class OneRefused(FakePool):
    """Refuses the second choice; the others write for ever."""

    async def generate(self, key, request):  # type: ignore[no-untyped-def]
        if request.sampling.seed == 1:
            yield GenerationEvent((), "error", "full", "queue_full")
            return
        async for event in super().generate(key, request):
            yield event


@in_loop
async def test_one_refusal_ends_the_others(bundle: Bundle) -> None:
    for is_whole in (True, False):
        pool = OneRefused({bundle.name: "text-generation"})
        pool.is_endless = True
        model = served(bundle, pool)
        wanted = choices(model, 3)
        streamed = texts_of(pieces_of(model, wanted, Terms()), [])
        work = complete_all(model, wanted, Terms()) if is_whole else streamed
        with pytest.raises(QueueFull):
            await work
        streamed.close()
        assert pool.cancelled == 2
        assert model.meters.in_flight == 0


@in_loop
async def test_the_deadline_ends_a_stream_after_what_was_written(bundle: Bundle) -> None:
    pool = pool_of(bundle)
    pool.is_endless = True
    model = served(bundle, pool)
    deadline = asyncio.get_running_loop().time() + 0.1
    texts: list[str] = []
    with pytest.raises(DeadlineExceeded):
        await texts_of(pieces_of(model, choices(model, 1), Terms(deadline)), texts)
    assert "".join(texts).startswith(STORY[:8])
    assert pool.cancelled == 1


class Hasty(FakePool):
    """Writes as fast as it can, for ever."""

    async def generate(self, key, request):  # type: ignore[no-untyped-def]
        try:
            while True:
                await asyncio.sleep(0)
                yield GenerationEvent((65,))
        finally:
            self.cancelled += 1


@in_loop
async def test_what_nobody_reads_is_bounded_and_then_cancelled(bundle: Bundle) -> None:
    pool = Hasty({bundle.name: "text-generation"})
    model = served(bundle, pool)
    pieces = pieces_of(model, choices(model, 1), Terms())
    await anext(pieces)
    while not pool.cancelled:  # the caller does not come back for more
        await asyncio.sleep(0)
    waiting: list[str] = []
    with pytest.raises(SlowReader):
        await texts_of(pieces, waiting)
    assert len(waiting) == MOST_UNREAD
    assert model.meters.in_flight == 0


@in_loop
async def test_terms_reach_the_engine_and_callers_share_no_cached_prompts(bundle: Bundle) -> None:
    pool = pool_of(bundle)
    model = served(bundle, pool)
    deadline = asyncio.get_running_loop().time() + 9.0
    for caller in (b"a", b"b", None):
        terms = Terms(deadline, True, 3, caller)
        await complete_all(model, choices(model, 1), terms)
    assert {request.priority for request in pool.requests} == {3}
    assert all(8.0 < (request.deadline_s or 0) <= 9.0 for request in pool.requests)
    assert len({request.cache_salt for request in pool.requests}) == 3
