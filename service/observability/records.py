"""What is known of a finished request, and the threads that write it down off the event loop.

A disk that is full, a pipe that nobody reads or a collector that is away may stall such a thread, never a
request: what does not fit into its queue is dropped and counted.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from service.observability.trace_context import Trace

_log = logging.getLogger("slipway.records")

_MOST_WAITING = 20_000

T = TypeVar("T")


class Record(NamedTuple):
    """`at`: when it ended, in seconds since 1970. `endpoint`: the route's template. `model`: name/version."""

    at: float
    request_id: str
    method: str
    path: str
    code: int
    seconds: float
    endpoint: str = ""
    model: str = ""
    reason: str = ""
    trace: Trace | None = None
    queue_s: float = 0.0
    infer_s: float = 0.0
    batch_rows: int = 0


class Recorder(Generic[T]):
    """A daemon thread that passes records, in whatever form, to `write`, which may block and may raise.

    `dropped` counts those that were not written: more than `most_waiting` queued, or `write` failed.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[T]], None],
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._name = name
        self._write = write
        self._most_waiting = most_waiting
        self._queue: queue.SimpleQueue[Sequence[T] | threading.Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = 0  # written by both sides; a lost update would shift the bound, so locked
        self._lock = threading.Lock()
        self._is_failing = False
        self.dropped = 0

    def put(self, records: Sequence[T]) -> None:
        """Never blocks."""
        with self._lock:
            if self._waiting + len(records) > self._most_waiting:
                self.dropped += len(records)
                return
            self._waiting += len(records)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put(records)

    def flush(self, limit_s: float = 1.0) -> bool:
        """Wait until what was put is written; False when that takes longer."""
        if self._thread is None:
            return True
        reached = threading.Event()
        self._queue.put(reached)
        return reached.wait(limit_s)

    def _serve(self) -> None:
        while True:
            given = self._queue.get()
            if isinstance(given, threading.Event):
                given.set()
                continue
            try:
                self._write(given)
                self._is_failing = False
            except Exception as error:  # whatever it is, requests go on; said once per bad spell
                self.dropped += len(given)
                if not self._is_failing:
                    _log.warning("%s cannot be written at the moment: %s", self._name, error)
                self._is_failing = True
            with self._lock:
                self._waiting -= len(given)
