"""One accepted piece of work on its way through the batcher: a few rows that belong together.

Every ticket gets exactly one outcome. Setting it again is harmless and without effect, so that a late
result, an expired deadline and a departed caller can race without care. Whoever wants the outcome gives
`on_done`; an asyncio future is made only when somebody asks for one, because at the front end's rates
a future and its callbacks cost as much as the rest of a request's scheduling.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import numpy as np

from models.errors import InferenceFailed, SlipwayError
from service.errors import Cancelled

_log = logging.getLogger("slipway.ticket")

Arrays = dict[str, np.ndarray]


class Place(Protocol):
    """Where a ticket waits; told at once when it got an outcome there."""

    def left(self, ticket: "Ticket") -> None: ...


class Ticket:
    """`inputs` carry their batch axis; tickets of the same `key` may share a batch.

    Times are `time.monotonic()` seconds. `on_done` is called once, in the loop's thread, from within
    whatever sets the outcome; it must not block. `is_single`: the outputs are wanted without batch
    axis. `batch_rows`: items in the run that answered it. `lengths`: sizes of the axes that may be
    padded. `work`: how much there is to compute, in rows, elements or tokens. `queue_until`: when it
    has waited too long. `caller`: whose it is, where callers are told apart, and `turn` its stamp among
    them: lower ones are served first. `place`: the queue that holds it, if any.
    """

    __slots__ = (
        "_future", "arrived", "batch_rows", "caller", "deadline", "error", "infer_s", "inputs", "is_done",
        "is_single", "key", "lengths", "on_done", "outputs", "place", "priority", "queue_s",
        "queue_until", "rows", "turn", "work",
    )  # fmt: skip

    def __init__(
        self,
        inputs: Arrays,
        rows: int,
        *,
        arrived: float,
        deadline: float | None = None,
        key: Hashable = (),
        priority: int = 0,
        caller: Hashable = None,
        on_done: "Callable[[Ticket], None] | None" = None,
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.arrived = arrived
        self.deadline = deadline
        self.key = key
        self.priority = priority
        self.caller = caller
        self.on_done = on_done
        self.outputs: Arrays | None = None
        self.error: SlipwayError | None = None
        self.is_done = False
        self.is_single = False
        self.lengths: tuple[int, ...] = ()
        self.work: float = rows
        self.queue_until: float | None = None
        self.turn = 0.0
        self.queue_s = 0.0
        self.infer_s = 0.0
        self.batch_rows = 0
        self.place: Place | None = None
        self._future: _Outcome | None = None

    def succeed(self, outputs: Arrays) -> None:
        if not self.is_done:
            self.outputs = outputs
            self._finish()

    def fail(self, error: SlipwayError) -> None:
        if not self.is_done:
            self.error = error
            self._finish()

    def cancel(self) -> None:
        """The caller has left. Queued work is dropped and counted; a running batch is not disturbed."""
        self.fail(Cancelled("the caller left before the answer"))

    @property
    def future(self) -> "asyncio.Future[Arrays]":
        """For `await`; cancelling it cancels the ticket."""
        if self._future is None:
            self._future = _Outcome(self)
            if self.is_done:
                self._resolve(self._future)
        return self._future

    def _finish(self) -> None:
        self.is_done = True
        place, self.place = self.place, None
        if place is not None:
            place.left(self)
        if self._future is not None:
            self._resolve(self._future)
        on_done, self.on_done = self.on_done, None
        if on_done is not None:
            try:
                on_done(self)
            except Exception:  # one listener's defect must not cost its batch-mates their answers
                _log.exception("a ticket's listener failed")

    def _resolve(self, future: "_Outcome") -> None:
        if future.done():
            return
        if self.outputs is not None:
            future.set_result(self.outputs)
        elif isinstance(self.error, Cancelled):
            future.cancel()
        elif self.error is not None:
            future.set_exception(self.error)


class _Outcome(asyncio.Future[Arrays]):
    """Cancelling it reaches the ticket at once, not one turn of the loop later as a callback would."""

    def __init__(self, ticket: Ticket) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._ticket = ticket

    def cancel(self, msg: Any | None = None) -> bool:
        is_cancelled = super().cancel(msg)
        self._ticket.cancel()  # without effect on one that has its outcome
        return is_cancelled


class Parts:
    """Makes a split request follow its parts: all their answers joined in order, or the first failure.

    When the request ends first (its caller left, a part failed), the parts end with it and free their
    places.
    """

    def __init__(
        self, parent: Ticket, parts: Sequence[Ticket], join: Callable[[list[Arrays]], Arrays]
    ) -> None:
        self._parent = parent
        self._parts = parts
        self._join = join
        self._left = len(parts)
        parent.place = self
        for part in parts:
            part.on_done = self._on_part

    def left(self, ticket: Ticket) -> None:
        if ticket.error is not None:
            for part in self._parts:
                part.fail(ticket.error)

    def _on_part(self, part: Ticket) -> None:
        self._left -= 1
        if part.error is not None:
            self._parent.fail(part.error)
        elif self._left == 0 and not self._parent.is_done:
            self._parent.queue_s = max(part.queue_s for part in self._parts)
            self._parent.infer_s = sum(part.infer_s for part in self._parts)
            self._parent.batch_rows = max(part.batch_rows for part in self._parts)
            self._answer()

    def _answer(self) -> None:
        try:
            outputs = self._join([part.outputs or {} for part in self._parts])
        except (ValueError, KeyError) as error:
            why = "the answers to the parts of a request do not fit together"
            self._parent.fail(InferenceFailed(why, str(error)))
        else:
            self._parent.succeed(outputs)
