"""Answers of many runs: they share batches with other callers', and end with their caller or its time."""

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import InferenceFailed
from service.batching.batcher import Batcher, limits_of
from service.batching.ticket import Ticket
from service.errors import DeadlineExceeded, QueueFull
from service.loops import Spent, steps_of
from service.observability.metrics import ModelMeters
from service.pipeline import Ask, predict
from service.registry import ServedModel
from service.tasks.base import Item, Loop, Row
from service.tasks.image_generation import ImageGeneration
from service.terms import Terms
from service.workers.base import Arrays, RunResult
from tests.service.bundles import diffuser_bundle
from tests.service.fakes import FakePool, compute
from tests.service.loops import in_loop, until

CALLERS = 4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return diffuser_bundle(tmp_path_factory.mktemp("loops") / "repository")


class Graph:
    """The fake graph; `opened` lets runs through, one after the other where it is cleared."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.opened.set()
        self.rows: list[int] = []

    async def __call__(self, inputs: Arrays) -> RunResult:
        self.rows.append(len(inputs["t"]))
        await self.opened.wait()
        return RunResult(compute("image-generation", inputs), 0.001)


class Served:
    """The bundle behind a real batcher."""

    def __init__(self, bundle: Bundle) -> None:
        self.graph, self.task = Graph(), ImageGeneration(bundle)
        self.meters = ModelMeters(bundle.name, bundle.version)
        pool = FakePool({bundle.name: bundle.manifest.task})
        self.model = ServedModel(bundle, pool, self.meters, self.task, state="ready")
        limits = limits_of(bundle.manifest.batching, 1)
        self.batcher = Batcher(self.graph, bundle.manifest, limits, self.meters)
        self.model.batcher = self.batcher

    def ask(self, prompt: str, **options: object) -> Ask:
        return Ask(prompt, self.task.parse_options(options))

    def loop(self, prompt: str = "3", **options: object) -> Loop:
        ask = self.ask(prompt, **options)
        loop = self.task.preprocess(prompt, ask.options).loop  # type: ignore[arg-type]
        assert loop is not None
        return loop


@in_loop
async def test_steps_of_different_callers_share_batches(bundle: Bundle) -> None:
    served = Served(bundle)
    asks = [served.ask(str(label), seed=label, steps=12) for label in range(CALLERS)]
    answers = await asyncio.gather(*(predict(served.model, [ask]) for ask in asks))
    assert sum(served.graph.rows) == 12 * CALLERS
    assert len(served.graph.rows) < 12 * CALLERS / 2
    # The metric that operators see says the same: most steps ran in full batches.
    assert served.meters.batches[CALLERS].count >= 8
    assert len({answer.answers[0]["image"] for answer in answers}) == CALLERS


@in_loop
async def test_a_picture_is_the_same_alone_and_among_others(bundle: Bundle) -> None:
    alone, busy = Served(bundle), Served(bundle)
    one = await predict(alone.model, [alone.ask("3", seed=9, steps=7)])
    noise = [busy.ask(str(label), seed=label, steps=5 + label) for label in range(6)]
    others = [busy.ask("3", seed=9, steps=7), *noise]
    many = await asyncio.gather(*(predict(busy.model, [ask]) for ask in others))
    assert max(busy.graph.rows) > 1
    assert many[0].answers == one.answers


@in_loop
async def test_several_pictures_of_one_request_go_side_by_side(bundle: Bundle) -> None:
    served = Served(bundle)
    prediction = await predict(served.model, [served.ask("3", seed=1, index=i) for i in range(4)])
    assert [answer["index"] for answer in prediction.answers] == [0, 1, 2, 3]
    assert served.graph.rows == [4, 4, 4, 4]
    assert prediction.phases.infer_s == pytest.approx(0.004)


@in_loop
async def test_who_leaves_takes_the_next_steps_along(bundle: Bundle) -> None:
    served = Served(bundle)
    served.graph.opened.clear()
    leaving = asyncio.ensure_future(predict(served.model, [served.ask("1", steps=40)]))
    await until(lambda: len(served.graph.rows) == 1)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    served.graph.opened.set()
    await served.batcher.close()  # waits for all that was accepted
    assert served.graph.rows == [1]
    assert served.meters.in_flight == 0


@in_loop
async def test_leaving_between_two_steps_leaves_nothing_behind(bundle: Bundle) -> None:
    served = Served(bundle)
    loop = served.loop(steps=40)
    async with aclosing(steps_of(served.batcher, loop, Terms(), Spent())) as steps:
        async for step in steps:
            if step == 3:
                break
    await served.batcher.close()
    assert served.graph.rows == [1, 1, 1]


@in_loop
async def test_a_deadline_is_looked_at_before_each_step(bundle: Bundle) -> None:
    served = Served(bundle)
    terms = Terms(asyncio.get_running_loop().time() + 3600)
    spent = Spent()
    steps = steps_of(served.batcher, served.loop(steps=40), terms, spent)
    assert [await anext(steps), await anext(steps)] == [1, 2]
    object.__setattr__(terms, "deadline", 0.0)
    with pytest.raises(DeadlineExceeded):
        await anext(steps)
    assert spent.infer_s == pytest.approx(0.002)


class Crowded:
    """The batcher, whose queue is full at the given attempts."""

    def __init__(self, batcher: Batcher, *full: int) -> None:
        self._batcher, self._full, self.attempts = batcher, full, 0

    def enqueue_item(self, item: Item, **terms: object) -> Ticket:
        self.attempts += 1
        if self.attempts in self._full:
            error = QueueFull("no place")
            error.retry_after_s = 0.001
            raise error
        return self._batcher.enqueue_item(item, **terms)  # type: ignore[arg-type]


@in_loop
async def test_a_full_queue_refuses_what_is_new_and_not_what_has_begun(bundle: Bundle) -> None:
    served = Served(bundle)

    async def told(*full: int) -> tuple[list[int], int]:
        crowded = Crowded(served.batcher, *full)
        run = steps_of(crowded, served.loop(steps=3), Terms(), Spent())  # type: ignore[arg-type]
        return [step async for step in run], crowded.attempts

    assert await told(2, 3, 5) == ([1, 2, 3], 6)
    with pytest.raises(QueueFull):
        await told(1)


@in_loop
async def test_waiting_for_a_place_ends_with_the_time(bundle: Bundle) -> None:
    served = Served(bundle)
    crowded = Crowded(served.batcher, *range(2, 100_000))
    terms = Terms(asyncio.get_running_loop().time() + 0.05)
    with pytest.raises(DeadlineExceeded):
        async for _ in steps_of(crowded, served.loop(), terms, Spent()):  # type: ignore[arg-type]
            pass
    assert crowded.attempts > 1


@in_loop
async def test_an_answer_that_is_no_number_fails_its_own_caller_only(bundle: Bundle) -> None:
    served = Served(bundle)

    async def broken(inputs: Arrays) -> RunResult:
        outputs = compute("image-generation", inputs)
        outputs["prediction"][inputs["label"] == 5] = np.nan
        return RunResult(outputs, 0.001)

    limits = limits_of(bundle.manifest.batching, 1)
    served.model.batcher = Batcher(broken, bundle.manifest, limits, served.meters)
    asks = [served.ask(label, seed=1) for label in ("4", "5", "6")]
    first, failed, last = await asyncio.gather(
        *(predict(served.model, [ask]) for ask in asks), return_exceptions=True
    )
    assert isinstance(failed, InferenceFailed)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)


class Double(Loop):
    """Two runs a step."""

    steps, step, runs = 3, 0, 0

    def item(self) -> Item:
        one = np.ones((), np.float32)
        picture = np.zeros((1, 8, 8), np.float32)
        return {"x": picture, "t": one, "label": np.zeros((), np.int64), "guidance": one}

    def take(self, row: Row) -> None:
        assert row["prediction"].shape == (1, 8, 8)
        self.runs += 1
        self.step = self.runs // 2

    def rows(self) -> list[Row]:
        return []


@in_loop
async def test_steps_are_told_not_runs(bundle: Bundle) -> None:
    served, loop = Served(bundle), Double()
    told = [step async for step in steps_of(served.batcher, loop, Terms(), Spent())]
    assert told == [1, 2, 3]
    assert loop.runs == 6
