"""The batcher's promises, each with its test; numbers in names refer to `service.batching.batcher`'s list."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from models.datatypes import DataType
from models.errors import InferenceFailed, InputError, InputRefused
from models.manifest import Manifest, TensorSpec
from service.batching.batcher import Batcher, BatchLimits, limits_of
from service.batching.ticket import Ticket
from service.errors import (
    Cancelled,
    DeadlineExceeded,
    OutputMismatch,
    QueueFull,
    ShuttingDown,
    WorkerLost,
)
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.loops import in_loop, until
from tests.service.manifests import manifest_of, vector

LIMITS = BatchLimits(max_batch_size=8, max_queue_rows=64)


class Runner:
    """Doubles its input; holds every run while `gate` is closed; fails on a row that holds `poison`."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Callable[[], Exception] = lambda: InputRefused("poison")
        self.poison = -1.0

    async def __call__(self, inputs: Arrays) -> RunResult:
        self.batches.append(inputs["x"])
        await self.gate.wait()
        if (inputs["x"] == self.poison).any():
            raise self.error()
        return RunResult({"y": inputs["x"] * 2}, 0.001)

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


def make(
    runner: Callable[..., object],
    limits: BatchLimits = LIMITS,
    manifest: Manifest | None = None,
    clock: Callable[[], float] | None = None,
) -> Batcher:
    meters = ModelMeters("m", 1)
    return Batcher(runner, manifest or vector(2), limits, meters, clock)


def item(value: float) -> Arrays:
    return {"x": np.full(2, value, np.float32)}


def rows(*values: float) -> Arrays:
    return {"x": np.repeat(np.array(values, np.float32)[:, None], 2, axis=1)}


@in_loop
async def test_a_request_without_rows_gets_an_answer_without_rows() -> None:
    runner = Runner()
    batcher = make(runner)
    for _ in range(12):
        none = batcher.submit_rows({"x": np.zeros((0, 2), np.float32)}, 0)
        some = batcher.submit_rows(rows(1, 2), 2)
        assert [len((await answer)["y"]) for answer in (none, some)] == [0, 2]
    assert batcher.is_alive


@in_loop
async def test_requests_of_one_turn_of_the_loop_share_a_batch() -> None:
    runner = Runner()
    batcher = make(runner)
    answers = await asyncio.gather(*(batcher.submit(item(value)) for value in range(1, 6)))
    assert runner.sizes == [5]
    assert [answer["y"].tolist() for answer in answers] == [[2.0 * v] * 2 for v in range(1, 6)]


@in_loop
async def test_a_batch_grows_while_the_workers_are_busy_and_never_beyond_its_limit() -> None:
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner)
    first = batcher.submit(item(1))
    await until(lambda: runner.sizes == [1])
    rest = [batcher.submit(item(value)) for value in range(2, 14)]
    runner.gate.set()
    await asyncio.gather(first, *rest)
    assert runner.sizes == [1, 8, 4]


@in_loop
async def test_as_many_batches_run_at_once_as_there_are_instances() -> None:
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner, BatchLimits(max_batch_size=1, concurrency=3))
    answers = [batcher.submit(item(value)) for value in range(5)]
    await until(lambda: len(runner.batches) == 3)
    await asyncio.sleep(0)
    assert len(runner.batches) == 3
    runner.gate.set()
    await asyncio.gather(*answers)


@in_loop
async def test_a_queue_delay_waits_for_company_but_not_for_more_than_a_full_batch() -> None:
    runner = Runner()
    batcher = make(runner, replace(LIMITS, max_queue_delay_s=60.0))
    answers = [batcher.submit(item(value)) for value in range(8)]
    await asyncio.gather(*answers)
    assert runner.sizes == [8]
    lonely = batcher.submit(item(1))
    await asyncio.sleep(0.01)
    assert not lonely.done()
    await batcher.close()  # ending does not wait for company
    assert lonely.done()


@in_loop
async def test_a_queue_delay_ends() -> None:
    runner = Runner()
    batcher = make(runner, replace(LIMITS, max_queue_delay_s=0.01))
    await batcher.submit(item(1))
    assert runner.sizes == [1]


@in_loop
async def test_a_request_larger_than_a_batch_is_split_and_joined_again() -> None:
    runner = Runner()
    batcher = make(runner)
    values = [float(value) for value in range(1, 21)]
    answer = await batcher.submit_rows(rows(*values), 20)
    assert runner.sizes == [8, 8, 4]
    assert answer["y"][:, 0].tolist() == [2 * value for value in values]


@in_loop
async def test_when_one_part_of_a_split_request_fails_the_request_fails_once() -> None:
    runner = Runner()
    batcher = make(runner)
    values = [1.0] * 12
    values[10] = runner.poison
    with pytest.raises(InputRefused):
        await batcher.submit_rows(rows(*values), 12)
    assert (await batcher.submit(item(3)))["y"].tolist() == [6.0, 6.0]


@in_loop
async def test_items_of_different_shapes_never_share_a_batch() -> None:
    runner = Runner()
    batcher = make(runner, manifest=manifest_of([("x", DataType.FLOAT, ("batch", "width"))]))
    widths = [2, 3, 2, 3, 2]
    answers = [batcher.submit({"x": np.ones(width, np.float32)}) for width in widths]
    await asyncio.gather(*answers)
    assert [answer.result()["y"].shape for answer in answers] == [(width,) for width in widths]
    assert sorted(batch.shape for batch in runner.batches) == [(2, 3), (3, 2)]


@in_loop
async def test_a_model_with_an_input_that_has_no_batch_axis_is_never_batched() -> None:
    inputs = [
        TensorSpec(name="x", dtype=DataType.FLOAT, shape=("batch", 2)),
        TensorSpec(name="scale", dtype=DataType.FLOAT, shape=(1,), batch_axis=None),
    ]
    sizes: list[int] = []

    async def run(given: Arrays) -> RunResult:
        sizes.append(len(given["x"]))
        return RunResult({"y": given["x"] * given["scale"]}, 0.0)

    batcher = make(run, manifest=manifest_of(inputs))
    answers = [
        batcher.submit_rows({**rows(1.0, 1.0), "scale": np.array([scale], np.float32)}, 2)
        for scale in (2.0, 3.0)
    ]
    await asyncio.gather(*answers)
    assert sizes == [2, 2]
    assert [answer.result()["y"][0, 0] for answer in answers] == [2.0, 3.0]


# -- padding ----------------------------------------------------------------------------------------


def text_manifest() -> Manifest:
    def spec(name: str, pad: float) -> TensorSpec:
        return TensorSpec(
            name=name,
            dtype=DataType.INT64,
            shape=("batch", "sequence"),
            pad_axes=("sequence",),
            pad_value=pad,
        )

    output = TensorSpec(name="y", dtype=DataType.INT64, shape=("batch", "sequence"))
    return manifest_of([spec("x", 7), spec("mask", 0)], [output])


class TokenRunner(Runner):
    async def __call__(self, inputs: Arrays) -> RunResult:
        self.batches.append(inputs["x"])
        return RunResult({"y": inputs["x"] * inputs["mask"]}, 0.0)


def text(length: int) -> Arrays:
    return {"x": np.arange(1, length + 1), "mask": np.ones(length, np.int64)}


@in_loop
async def test_texts_of_similar_length_are_padded_together_and_answered_without_padding() -> None:
    runner = TokenRunner()
    batcher = make(runner, manifest=text_manifest())
    lengths = [100, 95, 104]
    answers = await asyncio.gather(*(batcher.submit(text(length)) for length in lengths))
    assert [batch.shape for batch in runner.batches] == [(3, 104)]
    assert [row[95:].tolist() for row in runner.batches[0]].count([7] * 9) == 1
    for answer, length in zip(answers, lengths, strict=True):
        assert answer["y"].tolist() == list(range(1, length + 1))


@in_loop
async def test_a_short_text_is_not_padded_to_a_long_one() -> None:
    runner = TokenRunner()
    batcher = make(runner, manifest=text_manifest())
    await asyncio.gather(*(batcher.submit(text(length)) for length in (4, 120, 4, 120)))
    assert sorted(batch.shape for batch in runner.batches) == [(2, 4), (2, 120)]


@in_loop
async def test_a_token_budget_bounds_the_padded_batch() -> None:
    runner = TokenRunner()
    limits = replace(LIMITS, max_batch_tokens=250)
    batcher = make(runner, limits, text_manifest())
    await asyncio.gather(*(batcher.submit(text(100)) for _ in range(5)))
    assert runner.sizes == [2, 2, 1]


# -- promise 1, 2, 8: outcomes -----------------------------------------------------------------------


@in_loop
async def test_1_every_accepted_item_gets_exactly_one_outcome_when_the_worker_is_lost() -> None:
    runner = Runner()
    runner.error = lambda: WorkerLost("gone")
    batcher = make(runner)
    outcomes = await asyncio.gather(
        *(batcher.submit(item(value)) for value in (1, runner.poison, 2)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [WorkerLost] * 3
    assert runner.sizes == [3], "a lost worker is not offered the same batch again"


@in_loop
async def test_1_an_unforeseen_error_reaches_the_callers_and_the_next_batch_runs() -> None:
    runner = Runner()
    runner.error = lambda: ZeroDivisionError("a defect")
    batcher = make(runner)
    with pytest.raises(InferenceFailed, match="could not be handled"):
        await batcher.submit(item(runner.poison))
    assert (await batcher.submit(item(1)))["y"].tolist() == [2.0, 2.0]


@in_loop
async def test_2_setting_an_outcome_twice_is_harmless() -> None:
    batcher = make(Runner())
    ticket = batcher.enqueue_item(item(1))
    await ticket.future
    ticket.fail(InferenceFailed("late"))
    ticket.succeed({})
    assert ticket.future.result()["y"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("answered", [0, 1, 4])
@in_loop
async def test_8_outputs_are_counted_against_inputs(answered: int) -> None:
    async def run(inputs: Arrays) -> RunResult:
        return RunResult({"y": np.zeros((answered, 2), np.float32)}, 0.0)

    batcher = make(run)
    outcomes = await asyncio.gather(
        *(batcher.submit_rows(rows(1.0, 2.0), 2) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(outcome, OutputMismatch) for outcome in outcomes)


# -- promise 3: poison -------------------------------------------------------------------------------


@in_loop
async def test_3_only_the_guilty_item_of_a_batch_fails() -> None:
    runner = Runner()
    batcher = make(runner, BatchLimits(max_batch_size=32, max_queue_rows=64))
    values = [float(value) for value in range(1, 33)]
    values[13] = runner.poison
    outcomes = await asyncio.gather(
        *(batcher.submit(item(value)) for value in values), return_exceptions=True
    )
    guilty = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, Exception)]
    assert guilty == [13]
    assert isinstance(outcomes[13], InputRefused)
    assert outcomes[0]["y"].tolist() == [2.0, 2.0]
    assert len(runner.batches) <= 1 + 2 * 5


@in_loop
async def test_3_the_search_for_the_guilty_has_a_budget() -> None:
    runner = Runner()
    batcher = make(runner, BatchLimits(max_batch_size=64, max_queue_rows=64))
    outcomes = await asyncio.gather(
        *(batcher.submit(item(runner.poison)) for _ in range(64)), return_exceptions=True
    )
    assert all(isinstance(outcome, (InputRefused, InferenceFailed)) for outcome in outcomes)
    assert len(runner.batches) <= 1 + 2 * 8 * 6


# -- promise 4: the loop -----------------------------------------------------------------------------


@in_loop
async def test_4_a_defect_in_the_batcher_takes_readiness_away_and_answers_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batcher = make(Runner())
    monkeypatch.setattr(batcher._backlog, "take", lambda now: 1 / 0)
    answer = batcher.submit(item(1))
    with pytest.raises(InferenceFailed):
        await answer
    assert not batcher.is_alive
    with pytest.raises(ShuttingDown):
        batcher.submit(item(1))


# -- promise 5 and 7: the departed and the late ------------------------------------------------------


@in_loop
async def test_5_a_cancelled_caller_is_dropped_before_the_run_and_counted() -> None:
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner)
    running = batcher.submit(item(1))
    await until(lambda: runner.sizes == [1])
    left = batcher.submit(item(2))
    stays = batcher.submit(item(3))
    left.cancel()
    runner.gate.set()
    await asyncio.gather(running, stays)
    assert [batch[0, 0] for batch in runner.batches] == [1.0, 3.0]
    assert batcher._meters.dropped == {"cancelled": 1}


@in_loop
async def test_5_a_cancelled_ticket_leaves_the_queue_at_once_and_is_told_once() -> None:
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner)
    told: list[Ticket] = []
    running = batcher.enqueue(rows(1.0), 1, on_done=told.append)
    await until(lambda: runner.sizes == [1])
    waiting = batcher.enqueue(rows(2.0, 3.0), 2, on_done=told.append)
    assert batcher.pending_rows == 2
    waiting.cancel()
    waiting.cancel()
    assert batcher.pending_rows == 0
    assert told == [waiting]
    assert isinstance(waiting.error, Cancelled)
    runner.gate.set()
    await batcher.close()
    assert told == [waiting, running]
    assert running.outputs is not None
    assert batcher._meters.dropped == {"cancelled": 1}


@in_loop
async def test_5_a_caller_that_leaves_during_the_run_does_not_disturb_its_batch_mates() -> None:
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner)
    left, stays = batcher.enqueue_item(item(1)), batcher.enqueue_item(item(2))
    await until(lambda: runner.sizes == [2])
    left.cancel()
    runner.gate.set()
    assert (await stays.future)["y"].tolist() == [4.0, 4.0]
    assert left.outputs is None


@in_loop
async def test_5_an_item_whose_deadline_passed_in_the_queue_is_not_run() -> None:
    now = [100.0]
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner, clock=lambda: now[0])
    running = batcher.submit(item(1))
    await until(lambda: runner.sizes == [1])
    late = batcher.submit(item(2), deadline=101.0)
    now[0] = 102.0
    runner.gate.set()
    with pytest.raises(DeadlineExceeded):
        await late
    await running
    assert runner.sizes == [1]
    assert batcher._meters.dropped == {"deadline": 1}


@in_loop
async def test_7_a_deadline_that_passed_before_arrival_is_refused_at_once() -> None:
    batcher = make(Runner(), clock=lambda: 100.0)
    with pytest.raises(DeadlineExceeded):
        batcher.submit(item(1), deadline=99.0)


@in_loop
async def test_7_a_deadline_also_passes_while_the_run_hangs() -> None:
    now = [100.0]
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner, clock=lambda: now[0])
    answer = batcher.submit(item(1), deadline=100.5)
    await until(lambda: runner.sizes == [1])
    now[0] = 101.0
    with pytest.raises(DeadlineExceeded):
        await answer
    runner.gate.set()


@in_loop
async def test_7_the_queues_timeout_refuses_those_who_wait_but_not_those_who_run() -> None:
    now = [100.0]
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner, replace(LIMITS, queue_timeout_s=1.0), clock=lambda: now[0])
    running = batcher.submit(item(1))
    await until(lambda: runner.sizes == [1])
    waiting = batcher.submit(item(2), deadline=200.0)
    now[0] = 102.0
    with pytest.raises(DeadlineExceeded, match="queue"):
        await waiting
    runner.gate.set()
    await running


# -- promise 6: the bounded queue --------------------------------------------------------------------


@in_loop
async def test_6_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    runner = Runner()
    batcher = make(runner, BatchLimits(max_batch_size=2, max_queue_rows=4))
    await batcher.submit(item(1))  # something to measure the drain rate by
    runner.gate.clear()
    accepted = [batcher.submit(item(0))]
    await until(lambda: runner.sizes == [1, 1])
    accepted += [batcher.submit(item(value)) for value in range(4)]
    with pytest.raises(QueueFull) as refusal:
        batcher.submit(item(9))
    assert refusal.value.retry_after_s is not None
    assert 1.0 <= refusal.value.retry_after_s <= 40.0
    assert batcher.pending_rows == 4
    runner.gate.set()
    await asyncio.gather(*accepted)


@in_loop
async def test_6_the_departed_leave_room() -> None:
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner, BatchLimits(max_batch_size=2, max_queue_rows=2))
    first = batcher.submit(item(0))
    await until(lambda: runner.sizes == [1])
    left = [batcher.submit(item(1)), batcher.submit(item(2))]
    for future in left:
        future.cancel()
    stays = batcher.submit(item(3))
    runner.gate.set()
    await asyncio.gather(first, stays)


@in_loop
async def test_6_a_request_larger_than_the_queue_is_served_when_nothing_waits() -> None:
    batcher = make(Runner(), BatchLimits(max_batch_size=2, max_queue_rows=4))
    answer = await batcher.submit_rows(rows(*map(float, range(10))), 10)
    assert answer["y"].shape == (10, 2)


@in_loop
async def test_6_a_queue_too_long_for_a_deadline_refuses_instead_of_wasting_work() -> None:
    now = [100.0]

    async def run(inputs: Arrays) -> RunResult:
        now[0] += 1.0  # a second a row
        return RunResult({"y": inputs["x"]}, 1.0)

    batcher = make(run, BatchLimits(max_batch_size=1, max_queue_rows=64), clock=lambda: now[0])
    await batcher.submit(item(1))
    waiting = [batcher.submit(item(1)) for _ in range(10)]
    with pytest.raises(QueueFull):
        batcher.submit(item(1), deadline=now[0] + 5.0)
    await asyncio.gather(*waiting)


# -- ending, checking --------------------------------------------------------------------------------


@in_loop
async def test_closing_finishes_what_was_accepted_and_refuses_what_is_new() -> None:
    runner = Runner()
    runner.gate.clear()
    batcher = make(runner)
    answers = [batcher.submit(item(value)) for value in range(20)]
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        batcher.submit(item(1))
    runner.gate.set()
    await closing
    assert all(answer.done() for answer in answers)


@pytest.mark.parametrize(
    "inputs",
    [{}, {"x": np.ones(2)}, {"x": np.ones((1, 2), np.float32)}],
    ids=["missing", "wrong element type", "wrong rank"],
)
@in_loop
async def test_an_item_that_is_not_the_models_is_refused_before_it_can_harm_a_batch(
    inputs: Arrays,
) -> None:
    batcher = make(Runner())
    with pytest.raises(InputError):
        batcher.submit(inputs)


@in_loop
async def test_phases_are_measured_per_item() -> None:
    runner = Runner()
    batcher = make(runner)
    await asyncio.gather(*(batcher.submit(item(value)) for value in range(3)))
    meters = batcher._meters
    await until(lambda: meters.phases["compute_output"].count == 3)
    counts = {name: cell.count for name, cell in meters.phases.items()}
    assert counts["queue"] == counts["compute_input"] == counts["compute_infer"] == 3
    assert meters.batch_size.count == 1
    assert meters.batch_size.total == 3


def test_limits_come_from_the_manifest_and_the_workers() -> None:
    batching = vector(2).batching.model_copy(update={"max_batch_size": 128, "instance_group": 3})
    limits = limits_of(batching, workers=2)
    assert (limits.max_batch_size, limits.concurrency) == (128, 2)
    assert limits.least_queue_rows == 128 * 2
