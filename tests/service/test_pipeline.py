"""The line between a typed request and its answers: order, windows, who fails, who is let go."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import InferenceFailed, InputRefused, SlipwayError
from service.batching.batcher import Batcher, limits_of
from service.errors import BadRequest, DeadlineExceeded, QueueFull
from service.observability.metrics import ModelMeters
from service.pipeline import MAX_INSTANCES, Ask, Prediction, predict
from service.registry import ServedModel
from service.tasks import open_task
from service.tasks.base import TaskOptions
from service.terms import Terms
from service.workers.base import Arrays, RunResult
from tests.service.bundles import tensor_bundle
from tests.service.fakes import FakePool
from tests.service.loops import until

OPTIONS = TaskOptions()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tensor_bundle(tmp_path_factory.mktemp("pipeline") / "repository")


def asks(*values: float) -> list[Ask]:
    return [Ask({"x": np.full(3, value, np.float32)}, OPTIONS) for value in values]


Run = Callable[[Arrays], Awaitable[RunResult]]


async def doubled(inputs: Arrays) -> RunResult:
    return RunResult({"y": inputs["x"] * 2}, 0.001)


def served(bundle: Bundle, run: Run = doubled, queue_rows: int = 0) -> ServedModel:
    meters = ModelMeters(bundle.name, bundle.version)
    pool = FakePool({bundle.name: "tensor"})
    model = ServedModel(bundle, pool, meters, open_task(bundle), state="ready")
    batching = bundle.manifest.batching
    if queue_rows:
        policy = batching.default_queue_policy.model_copy(update={"max_queue_size": queue_rows})
        batching = batching.model_copy(update={"default_queue_policy": policy})
    model.batcher = Batcher(run, bundle.manifest, limits_of(batching, 1), meters)
    return model


class Gate:
    """A `run` that waits until it is opened, and tells what it was given."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.seen: list[float] = []

    async def __call__(self, inputs: Arrays) -> RunResult:
        self.seen.extend(inputs["x"][:, 0].tolist())
        await self.opened.wait()
        return await doubled(inputs)


def first(prediction: Prediction) -> list[object]:
    return [answer["y"][0] for answer in prediction.answers]  # type: ignore[index]


def test_answers_come_in_the_order_of_the_instances_over_many_windows(bundle: Bundle) -> None:
    async def scenario() -> Prediction:
        return await predict(served(bundle), asks(*range(50)))

    prediction = asyncio.run(scenario())
    assert first(prediction) == [2.0 * value for value in range(50)]
    assert prediction.phases.infer_s > 0


@pytest.mark.parametrize("count", [0, MAX_INSTANCES + 1])
def test_no_instances_and_too_many_are_refused(bundle: Bundle, count: int) -> None:
    async def scenario() -> None:
        with pytest.raises(BadRequest, match="send at"):
            await predict(served(bundle), asks(*[1.0] * count))

    asyncio.run(scenario())


async def picky(inputs: Arrays) -> RunResult:
    """Refuses 13, and with it any batch that holds it."""
    if (inputs["x"] == 13).any():
        raise InputRefused("13 is unlucky")
    return await doubled(inputs)


def test_the_instance_that_the_model_refuses_is_named(bundle: Bundle) -> None:
    async def scenario() -> None:
        model = served(bundle, picky)
        with pytest.raises(InputRefused, match="13 is unlucky") as caught:
            await predict(model, asks(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 2))
        assert caught.value.message == "instance 11: 13 is unlucky"
        with pytest.raises(InputRefused) as alone:
            await predict(model, asks(13))
        assert alone.value.message == "13 is unlucky"

    asyncio.run(scenario())


def test_another_callers_items_survive_a_refused_instance(bundle: Bundle) -> None:
    async def scenario() -> list[object]:
        model = served(bundle, picky)
        good, bad = await asyncio.gather(
            predict(model, asks(1, 2)), predict(model, asks(13)), return_exceptions=True
        )
        assert isinstance(bad, InputRefused)
        assert isinstance(good, Prediction)
        return first(good)

    assert asyncio.run(scenario()) == [2, 4]


def test_an_error_shared_by_several_callers_is_not_changed_for_them(bundle: Bundle) -> None:
    shared = InferenceFailed("the model failed on this input", "detail for the log")

    async def failing(inputs: Arrays) -> RunResult:
        raise shared

    async def scenario() -> SlipwayError:
        with pytest.raises(InferenceFailed) as caught:
            await predict(served(bundle, failing), asks(1, 2))
        return caught.value

    named = asyncio.run(scenario())
    assert named.message.startswith("instance 0: ")
    assert getattr(named, "detail", "") == "detail for the log"
    assert shared.message == "the model failed on this input"


def test_a_full_queue_refuses_the_request(bundle: Bundle) -> None:
    async def scenario() -> None:
        gate = Gate()
        model = served(bundle, gate, queue_rows=4)
        running = asyncio.create_task(predict(model, asks(1, 2, 3, 4)))
        await until(lambda: bool(gate.seen))
        waiting = asyncio.create_task(predict(model, asks(5, 6, 7, 8)))
        await until(lambda: model.batcher is not None and model.batcher.pending_rows == 4)
        assert model.meters.in_flight == 2
        with pytest.raises(QueueFull) as caught:
            await predict(model, asks(*range(10, 18)))
        assert not caught.value.message.startswith("instance")
        gate.opened.set()
        assert first(await running) == [2, 4, 6, 8]
        assert first(await waiting) == [10, 12, 14, 16]
        assert first(await predict(model, asks(9))) == [18]
        assert not any(value >= 10 for value in gate.seen)
        assert model.meters.in_flight == 0

    asyncio.run(scenario())


def test_a_request_larger_than_the_queue_waits_for_its_own_items(bundle: Bundle) -> None:
    async def scenario() -> Prediction:
        gate = Gate()
        model = served(bundle, gate, queue_rows=4)
        running = asyncio.create_task(predict(model, asks(1, 2, 3, 4)))
        await until(lambda: bool(gate.seen))
        large = asyncio.create_task(predict(model, asks(*range(10, 18))))
        await until(lambda: model.batcher is not None and model.batcher.pending_rows == 4)
        gate.opened.set()
        await running
        return await large

    assert first(asyncio.run(scenario())) == [2.0 * value for value in range(10, 18)]


def test_a_request_that_waits_for_its_own_items_ends_at_its_deadline(bundle: Bundle) -> None:
    async def scenario() -> None:
        gate = Gate()
        model = served(bundle, gate, queue_rows=4)
        running = asyncio.create_task(predict(model, asks(1, 2, 3, 4)))
        await until(lambda: bool(gate.seen))
        at = asyncio.get_running_loop().time() + 0.05
        with pytest.raises(DeadlineExceeded):
            await predict(model, asks(*range(10, 18)), Terms(deadline=at))
        assert model.batcher is not None
        assert model.batcher.pending_rows == 0
        gate.opened.set()
        await running

    asyncio.run(scenario())


def test_a_caller_that_leaves_takes_its_waiting_items_along(bundle: Bundle) -> None:
    async def scenario() -> list[float]:
        gate = Gate()
        model = served(bundle, gate)
        staying = asyncio.create_task(predict(model, asks(1)))
        await until(lambda: gate.seen == [1])
        leaving = asyncio.create_task(predict(model, asks(2, 3)))
        await until(lambda: model.batcher is not None and model.batcher.pending_rows == 2)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        gate.opened.set()
        await staying
        await predict(model, asks(4))
        return gate.seen

    assert asyncio.run(scenario()) == [1, 4]


def test_the_deadline_holds_in_the_queue(bundle: Bundle) -> None:
    async def scenario() -> None:
        gate = Gate()
        model = served(bundle, gate)
        running = asyncio.create_task(predict(model, asks(1)))
        await until(lambda: bool(gate.seen))
        soon = asyncio.get_running_loop().time() + 0.02
        with pytest.raises(DeadlineExceeded):
            await predict(model, asks(2), Terms(soon))
        gate.opened.set()
        await running

    asyncio.run(scenario())


def test_the_same_picture_is_answered_alike_alone_and_among_others(bundle: Bundle) -> None:
    async def scenario() -> tuple[list[object], list[object]]:
        model = served(bundle)
        alone = [first(await predict(model, asks(v)))[0] for v in (0.1, 0.2, 0.3)]
        return alone, first(await predict(model, asks(0.1, 0.2, 0.3)))

    alone, together = asyncio.run(scenario())
    assert alone == together
