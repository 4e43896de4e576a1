"""One generation model in a worker process: a thread that owns a SlotEngine and steps it.

Held by the worker, which hands in requests as they arrive and gets every event through the request's
own `emit`. Each accepted `submit` is answered by exactly one final event (an event with a finish
reason), whatever happens: refusal, cancellation, failure or `close`. Events are emitted by the host's
thread only, in order per request; an `emit` that raises loses its request and nobody else's.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import onnxruntime as ort

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.bundle import Bundle
from models.errors import SlipwayError
from models.golden import Golden
from models.manifest import MODEL_FILE, Manifest
from service.errors import ShuttingDown
from service.generation.engine import EngineLimits, Events, SlotEngine
from service.generation.exam import examine
from service.generation.graph import GraphRefused, open_graph
from service.generation.request import GenerationEvent, GenerationRequest

_log = logging.getLogger(__name__)

Emit = Callable[[int, bytes], None]

_WAITING_PER_SLOT = 16  # queue length where the manifest gives none


class StepWatch(Protocol):
    """Told when a step of the engine begins and ends, so that somebody notices one that does not."""

    def begin(self) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class _Arrival:
    """A request, or why it was refused before it reached the engine."""

    request_id: int
    request: GenerationRequest | SlipwayError
    emit: Emit


class GenerationHost:
    """Opens the bundle's graph, then answers until closed. Raises BundleError when it cannot be used."""

    def __init__(
        self,
        bundle: Bundle,
        options: ort.SessionOptions | None = None,
        limits: EngineLimits | None = None,
        watch: StepWatch | None = None,
    ) -> None:
        self.bundle = bundle
        self._watch = watch
        post = bundle.manifest.postprocessing
        stop = post.stop_token_ids if isinstance(post, GenerationPostprocessing) else ()
        self._tolerance = bundle.manifest.tolerance
        self._graph = open_graph(bundle.read(MODEL_FILE), options)
        limits = limits or limits_of(bundle.manifest)
        self._engine = SlotEngine(self._graph, limits, stop)
        self._emits: dict[int, Emit] = {}
        self._inbox: deque[_Arrival | int] = deque()  # an int is the request to cancel
        self._wake = threading.Condition()
        self._closing = False
        name = f"generation-{bundle.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """False once the thread has ended, by `close` or by a fault of ours."""
        return self._thread.is_alive()

    def submit(self, request_id: int, payload: bytes, emit: Emit) -> None:
        """Take a GenerationRequest as JSON. Never raises for its content: the answer is an event.

        `request_id` must not be in use by an unfinished request of this host.
        """
        request: GenerationRequest | SlipwayError
        try:
            request = GenerationRequest.from_json(payload)
        except SlipwayError as error:
            request = error
        if not self._post(_Arrival(request_id, request, emit)):
            emit(request_id, _refusal(ShuttingDown("the model is being unloaded")))

    def cancel(self, request_id: int) -> None:
        """End a request before its next token; one that has ended is ignored."""
        self._post(request_id)

    def terminate(self) -> None:
        """From another thread: let the current step fail, and with it the requests that were in it."""
        self._graph.run_options.terminate = True

    def exam(self, golden: Golden) -> float:
        """Replay the golden exam; largest absolute difference. Raises ExamFailed."""
        return examine(self._graph, golden, self._tolerance)

    def close(self) -> None:
        """Cancel what is running, answer everybody, end the thread. May be called twice."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _post(self, message: _Arrival | int) -> bool:
        with self._wake:
            if self._closing:
                return False
            self._inbox.append(message)
            self._wake.notify()
        return True

    def _run(self) -> None:
        try:
            self._serve()
        finally:  # by `close`, or by a fault of ours: either way nobody is left waiting
            with self._wake:
                self._closing = True
                arrived = [entry for entry in self._inbox if isinstance(entry, _Arrival)]
            self._emits |= {arrival.request_id: arrival.emit for arrival in arrived}
            final = GenerationEvent(finish_reason="cancelled").to_json()
            for request_id in list(self._emits):
                self._emit(request_id, final, is_last=True)

    def _serve(self) -> None:
        while True:
            messages, closing = self._take()
            if closing:
                return
            for message in messages:
                self._handle(message)
            self._graph.run_options.terminate = False  # a wish concerns one step
            try:
                events = self._step()
            except Exception:  # our own fault, not a row's: all are told, the model stays usable
                _log.exception("a generation step failed")
                events = self._engine.fail_all("generation failed; nothing of it was the request's")
            for request_id, event in events:
                self._emit(request_id, event.to_json(), is_last=event.finish_reason is not None)

    def _step(self) -> Events:
        if self._watch is None:
            return self._engine.step()
        self._watch.begin()
        try:
            return self._engine.step()
        finally:
            self._watch.end()

    def _take(self) -> tuple[list[_Arrival | int], bool]:
        """What has arrived; waits while there is nothing to do at all."""
        with self._wake:
            while not (self._inbox or self._closing) and self._engine.is_idle:
                self._wake.wait()
            if self._closing:
                return [], True
            messages = list(self._inbox)
            self._inbox.clear()
            return messages, False

    def _handle(self, message: _Arrival | int) -> None:
        if isinstance(message, int):
            self._engine.cancel(message)
            return
        self._emits[message.request_id] = message.emit
        try:
            if isinstance(message.request, SlipwayError):
                raise message.request
            self._engine.submit(message.request_id, message.request)
        except SlipwayError as error:
            self._emit(message.request_id, _refusal(error), is_last=True)

    def _emit(self, request_id: int, payload: bytes, *, is_last: bool) -> None:
        emit = self._emits.pop(request_id, None) if is_last else self._emits.get(request_id)
        if emit is None:
            return  # its emit failed earlier; the final event has nobody to go to
        try:
            emit(request_id, payload)
        except Exception:  # the caller's channel is gone: its request ends, the others go on
            _log.exception("an event could not be delivered")
            if self._emits.pop(request_id, None) is not None:
                self._engine.cancel(request_id)


def limits_of(manifest: Manifest) -> EngineLimits:
    """Slots and queue from the batching hints, the context from preprocessing."""
    if not isinstance(manifest.preprocessing, PromptPreprocessing):
        raise GraphRefused(f"{manifest.name}: a generation bundle needs prompt preprocessing")
    slots = manifest.batching.max_batch_size
    queue = manifest.batching.default_queue_policy.max_queue_size
    return EngineLimits(
        context_tokens=manifest.preprocessing.context_tokens,
        slots=slots,
        max_waiting=queue or slots * _WAITING_PER_SLOT,
    )


def _refusal(error: SlipwayError) -> bytes:
    event = GenerationEvent(
        finish_reason="error",
        error=error.public,
        code=error.reason,
        retry_after_s=error.retry_after_s,
    )
    return event.to_json()
