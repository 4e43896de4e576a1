"""One typed request, in order: validate → preprocess → batch → run → postprocess → respond.

Validation into instances is the route's (its body model), running is the worker's; this file is the
line between them. The V2 fast lane skips pre- and postprocessing: its callers send tensors.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import BadRequest, NotReady
from service.registry import ServedModel


@dataclass(frozen=True)
class Prediction:
    """Answers in the order of the instances, and the slowest item's phases in seconds."""

    answers: list[dict[str, object]]
    phases_s: dict[str, float]


async def predict(
    model: ServedModel,
    instances: Sequence[object],
    options: object,
    *,
    deadline: float | None = None,
) -> Prediction:
    """Answer every instance, or raise the first error. `deadline`: `loop.time()` seconds.

    Instances become independent items, so they share batches with other callers' items.
    """
    task, batcher = model.task, model.batcher
    if task is None or batcher is None:
        raise NotReady(f"model {model.key} takes no instances at the moment")
    if not instances:
        raise BadRequest("send at least one instance")
    clock = asyncio.get_running_loop().time
    began = clock()
    # Decoding pictures and tokenizing take long enough to stall every other connection.
    items = await asyncio.gather(
        *(asyncio.to_thread(task.preprocess, instance, options) for instance in instances)
    )
    preprocessed = clock()
    tickets = [batcher.enqueue_item(item, deadline=deadline) for item in items]
    try:
        rows = await asyncio.gather(*(ticket.future for ticket in tickets))
    finally:
        for ticket in tickets:
            ticket.future.cancel()  # no effect on a finished one; frees the others' places
    ran = clock()
    answers = [task.postprocess(row, options) for row in rows]
    phases_s = {
        "preprocess": preprocessed - began,
        "queue": max(ticket.queue_s for ticket in tickets),
        "infer": max(ticket.infer_s for ticket in tickets),
        "postprocess": clock() - ran,
    }
    return Prediction(answers, phases_s)
