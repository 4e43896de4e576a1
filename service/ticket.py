"""One accepted piece of work on its way through the batcher: a few rows that belong together.

Every ticket gets exactly one outcome. Setting it again is harmless and without effect, so that a late
result, an expired deadline and a departed caller can race without care.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from models.errors import SlipwayError

Arrays = dict[str, np.ndarray]


class Ticket:
    """`inputs` carry their batch axis; tickets of the same `key` may share a batch.

    Times are `time.monotonic()`, which is what `loop.time()` counts too. `is_gone` says that the caller has
    left, where whoever listens to it can know. `is_single`: the outputs are wanted without batch axis.
    `length`: the longest axis that may be padded.
    """

    __slots__ = (
        "arrived", "deadline", "future", "infer_s", "inputs", "is_gone", "is_single", "key",
        "length", "queue_s", "rows",
    )  # fmt: skip

    def __init__(
        self,
        inputs: Arrays,
        rows: int,
        future: "asyncio.Future[Arrays]",
        *,
        arrived: float,
        deadline: float | None = None,
        key: Hashable = (),
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.future = future
        self.arrived = arrived
        self.deadline = deadline
        self.key = key
        self.is_gone: Callable[[], bool] | None = None
        self.is_single = False
        self.length = 0
        self.queue_s = 0.0
        self.infer_s = 0.0

    def succeed(self, outputs: Arrays) -> None:
        if not self.future.done():
            self.future.set_result(outputs)

    def fail(self, error: SlipwayError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def gather(parent: Ticket, parts: Sequence[Ticket], join: Callable[[list[Arrays]], Arrays]) -> None:
    """Make `parent` follow its parts: all their answers joined in order, or the first failure.

    When the parent ends first (its caller left), the parts are cancelled and free their places.
    """
    left = len(parts)

    def on_part(future: "asyncio.Future[Arrays]") -> None:
        nonlocal left
        left -= 1
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, SlipwayError):
            parent.fail(error)
        elif left == 0 and not parent.future.done():
            parent.queue_s = max(part.queue_s for part in parts)
            parent.infer_s = sum(part.infer_s for part in parts)
            parent.succeed(join([part.future.result() for part in parts]))

    def on_parent(_: "asyncio.Future[Arrays]") -> None:
        for part in parts:
            part.future.cancel()

    for part in parts:
        part.future.add_done_callback(on_part)
    parent.future.add_done_callback(on_parent)
