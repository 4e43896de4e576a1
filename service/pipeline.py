"""One typed request, in order: request → validate → preprocess → batch → run → postprocess → respond.

`intake` turns the request into instances and options (validate); the route turns a Prediction into its
dialect (respond); everything between is here. Batch tasks go through the model's batcher, where their
items share batches with other callers' items; generation tasks go to the engine. The V2 fast lane skips
pre- and postprocessing: its callers send tensors.

The first failing instance fails the request, and the error names its index.
"""

import asyncio
import copy
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from models.errors import InferenceFailed, InputError, InputRefused, SlipwayError
from service.batching.ticket import Ticket
from service.completion import complete, under_terms
from service.errors import BadRequest, NotReady, QueueFull
from service.loops import Spent, steps_of
from service.offload import offload
from service.registry import ServedModel
from service.tasks.base import (
    Answer,
    BatchTask,
    GenerationTask,
    Item,
    Loop,
    Prepared,
    Row,
    TaskOptions,
)
from service.terms import Terms

if TYPE_CHECKING:
    from service.batching.batcher import Batcher

T = TypeVar("T")

MAX_INSTANCES = 1024
# Instances go through in windows, so that one large request neither fills the queue for everybody nor
# holds all its pictures in memory at once. Two batches: one runs while the next is gathered.
_WINDOW_BATCHES = 2
_LEAST_WINDOW = 8

# Errors that are about one instance; the others (queue full, deadline …) are about the request.
_ABOUT_AN_INSTANCE = (InputError, InputRefused, InferenceFailed)


@dataclass(frozen=True)
class Ask:
    """One instance and how its answer is wanted."""

    instance: object
    options: TaskOptions


@dataclass
class Phases:
    """Seconds spent, for Server-Timing; `queue` and `infer` are the slowest item's of each window."""

    preprocess_s: float = 0.0
    queue_s: float = 0.0
    infer_s: float = 0.0
    postprocess_s: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """Answers in the order of the instances."""

    answers: list[Answer] = field(default_factory=list)
    phases: Phases = field(default_factory=Phases)


_ANY_TERMS = Terms()


async def predict(model: ServedModel, asks: Sequence[Ask], terms: Terms = _ANY_TERMS) -> Prediction:
    """Answer every instance or raise the first error.

    Raises BadRequest for no or too many instances, NotReady, and what preprocessing and running raise.
    """
    if not asks:
        raise BadRequest("send at least one instance")
    if len(asks) > MAX_INSTANCES:
        raise BadRequest(f"{len(asks)} instances in one request; send at most {MAX_INSTANCES}")
    model.meters.in_flight += 1
    try:
        return await _predict_windows(model, asks, terms)
    finally:
        model.meters.in_flight -= 1


async def _predict_windows(model: ServedModel, asks: Sequence[Ask], terms: Terms) -> Prediction:
    prediction = Prediction()
    size = max(_LEAST_WINDOW, _WINDOW_BATCHES * model.manifest.batching.max_batch_size)
    for start in range(0, len(asks), size):
        try:
            await _predict_window(model, asks[start : start + size], terms, prediction)
        except _InstanceFailed as failed:
            if len(asks) == 1:
                raise failed.error from None
            raise naming(start + failed.index, failed.error) from failed.error
    return prediction


async def _predict_window(
    model: ServedModel, asks: Sequence[Ask], terms: Terms, prediction: Prediction
) -> None:
    task, clock, phases = model.task, asyncio.get_running_loop().time, prediction.phases
    terms.check(clock())
    if isinstance(task, GenerationTask):
        began = clock()
        answers = await _each(_generate(model, task, ask, terms) for ask in asks)
        prediction.answers.extend(answers)
        phases.infer_s += clock() - began
        return
    if not isinstance(task, BatchTask) or model.batcher is None:
        raise NotReady(f"model {model.key} takes no instances at the moment")
    began = clock()
    prepared = await _prepare(task, asks, terms)
    preprocessed = clock()
    run = _run if prepared[0].loop is None else _run_loops
    rows = await run(model.batcher, prepared, terms, phases)
    ran = clock()
    terms.check(ran)
    prediction.answers.extend(await _postprocess(task, rows, prepared, asks))
    phases.preprocess_s += preprocessed - began
    phases.postprocess_s += clock() - ran


async def _prepare(task: BatchTask, asks: Sequence[Ask], terms: Terms) -> list[Prepared]:
    """In order. Many texts are tokenized in one go, by several cores at once."""
    options = asks[0].options
    if task.prepares_together and len(asks) > 1 and all(ask.options is options for ask in asks):

        def work() -> list[Prepared]:
            terms.check(time.monotonic())
            return task.preprocess_many([ask.instance for ask in asks], options)

        try:
            return await offload(work)
        except InputError:
            pass  # asked one by one, below, they show whose fault it is
    return await _each(_preprocess(task, ask, terms) for ask in asks)


async def _preprocess(task: BatchTask, ask: Ask, terms: Terms) -> Prepared:
    """Decoding a picture or tokenizing a long text would stall every other connection: off the loop."""
    if task.is_heavy(ask.instance):

        def work() -> Prepared:
            terms.check(time.monotonic())  # it may have waited long for its thread
            return task.preprocess(ask.instance, ask.options)

        return await offload(work)
    return task.preprocess(ask.instance, ask.options)


async def _run(
    batcher: "Batcher", prepared: Sequence[Prepared], terms: Terms, phases: Phases
) -> list[list[Row]]:
    """Batch and run; the rows of each instance. What is still waiting when one item fails, or the caller
    leaves, is withdrawn."""
    owners = [index for index, each in enumerate(prepared) for _ in each.items]
    items = [item for each in prepared for item in each.items]
    tickets: list[Ticket] = []
    try:
        for index, item in zip(owners, items, strict=True):
            try:
                tickets.append(await _enqueue(batcher, item, terms, tickets))
            except _ABOUT_AN_INSTANCE as error:
                raise _InstanceFailed(index, error) from error
        try:
            rows = await _each(ticket.future for ticket in tickets)
        except _InstanceFailed as failed:
            raise _InstanceFailed(owners[failed.index], failed.error) from failed.error
    finally:
        for ticket in tickets:
            ticket.cancel()  # no effect on a finished one
    phases.queue_s += max(ticket.queue_s for ticket in tickets)
    phases.infer_s += max(ticket.infer_s for ticket in tickets)
    by_instance: list[list[Row]] = [[] for _ in prepared]
    for index, row in zip(owners, rows, strict=True):
        by_instance[index].append(row)
    return by_instance


async def _run_loops(
    batcher: "Batcher", prepared: Sequence[Prepared], terms: Terms, phases: Phases
) -> list[list[Row]]:
    """All loops side by side, so that their runs share batches."""
    spent = Spent()

    async def finished(loop: Loop) -> list[Row]:
        async for _ in steps_of(batcher, loop, terms, spent):
            pass
        return loop.rows()

    rows = await _each(finished(each.loop) for each in prepared if each.loop is not None)
    phases.queue_s += spent.queue_s
    phases.infer_s += spent.infer_s
    return rows


async def _enqueue(
    batcher: "Batcher", item: Item, terms: Terms, earlier: Sequence[Ticket]
) -> Ticket:
    """A request of many items is not refused for a queue that its own items fill: they are waited for."""
    while True:
        try:
            return batcher.enqueue_item(
                item,
                deadline=terms.deadline,
                is_own_deadline=terms.is_own_deadline,
                priority=terms.priority,
                caller=terms.caller,
            )
        except QueueFull:
            pending = [ticket.future for ticket in earlier if not ticket.is_done]
            if not pending:
                raise
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)


async def _postprocess(
    task: BatchTask,
    rows: Sequence[list[Row]],
    prepared: Sequence[Prepared],
    asks: Sequence[Ask],
) -> list[Answer]:
    parts = list(zip(rows, prepared, asks, strict=True))
    if task.is_heavy_to_answer:
        return await _each(
            offload(task.postprocess, own, each, ask.options) for own, each, ask in parts
        )
    answers = []
    for index, (own, each, ask) in enumerate(parts):
        try:
            answers.append(task.postprocess(own, each, ask.options))
        except _ABOUT_AN_INSTANCE as error:
            raise _InstanceFailed(index, error) from error
    return answers


async def _generate(model: ServedModel, task: GenerationTask, ask: Ask, terms: Terms) -> Answer:
    if task.is_heavy(ask.instance):
        request = await offload(task.preprocess, ask.instance, ask.options)
    else:
        request = task.preprocess(ask.instance, ask.options)
    request = under_terms(request, terms, asyncio.get_running_loop().time())
    done = await complete(model, request, task.new_reader(ask.options), deadline=terms.deadline)
    return task.postprocess(request, done.reader, done.finish_reason)


async def _each(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """All results in order; at the first failure the rest is cancelled. Raises _InstanceFailed or what
    was raised, when it is not about an instance."""
    futures = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        return list(await asyncio.gather(*futures))
    except _ABOUT_AN_INSTANCE:
        for index, future in enumerate(futures):
            error = future.exception() if future.done() and not future.cancelled() else None
            if isinstance(error, _ABOUT_AN_INSTANCE):
                raise _InstanceFailed(index, error) from error
        raise
    finally:
        for future in futures:
            future.cancel()


class _InstanceFailed(Exception):
    """Carries the index of the failed instance within its window; never leaves this module."""

    def __init__(self, index: int, error: SlipwayError) -> None:
        super().__init__(index)
        self.index, self.error = index, error


def naming(index: int, error: SlipwayError) -> SlipwayError:
    """The same error, its message led by the index. A copy: one error may belong to several callers."""
    named = copy.copy(error)
    named.message = f"instance {index}: {error.message}"
    return named
