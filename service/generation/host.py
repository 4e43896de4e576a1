"""One generation model in a worker process: a thread that owns a SlotEngine and steps it.

Held by the worker, which hands in requests as they arrive and gets their events through the requests' own
`emit`: once a step, with all events for the same `emit` together. Each accepted `submit` is answered by
exactly one final event (an event with a finish reason), whatever happens: refusal, cancellation, failure
or `close`. Events are emitted by the host's thread only, in order per request; an `emit` that raises loses
its own requests and nobody else's.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

import onnxruntime as ort

from models.blocks import GenerationPostprocessing, PromptPreprocessing, SourceTextPreprocessing
from models.bundle import Bundle
from models.errors import SlipwayError
from models.golden import Golden
from models.manifest import MODEL_FILE
from service.errors import ShuttingDown
from service.generation.constraint import GrammarMatcher
from service.generation.encoder_graph import ENCODER_FILE, EncoderGraph, open_encoder
from service.generation.engine import SlotEngine
from service.generation.exam import examine
from service.generation.grammars import GrammarCompiler
from service.generation.graph import (
    CROSS_DIALECT,
    ON_CPU,
    DecoderGraph,
    GraphRefused,
    Place,
    open_graph,
)
from service.generation.limits import EngineLimits, limits_of
from service.generation.request import GenerationEvent, GenerationRequest
from service.generation.requests import Events, refusal
from service.generation.stats import EngineStats

_log = logging.getLogger(__name__)

Emit = Callable[[Events], None]
"""Takes the events of one step; requests whose `emit` is equal share a call."""

_REPORT_S = 1.0  # between two reports of what the engine measured


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
    arrived_s: float  # monotonic


@dataclass(frozen=True)
class _Compiled:
    """The matcher of a request that has waited for it, or why there is none."""

    arrival: _Arrival
    matcher: Future[GrammarMatcher]


_Message = _Arrival | _Compiled | int  # an int is the request to cancel


class GenerationHost:
    """Opens the bundle's graph, then answers until closed. Raises BundleError when it cannot be used."""

    def __init__(
        self,
        bundle: Bundle,
        options: ort.SessionOptions | None = None,
        limits: EngineLimits | None = None,
        watch: StepWatch | None = None,
        on_stats: Callable[[EngineStats], None] = lambda _: None,
        model_file: str = MODEL_FILE,
        place: Place = ON_CPU,
    ) -> None:
        """`on_stats` is called by the host's thread, at most once a second and when work has ended.
        `model_file`: the bundle's graph to serve (`service.selection.choice`)."""
        self.bundle = bundle
        self._watch = watch
        self._on_stats = on_stats
        self._report_at = (
            -math.inf
        )  # monotonic; infinity: nothing was counted since the last report
        post = bundle.manifest.postprocessing
        stop = post.stop_token_ids if isinstance(post, GenerationPostprocessing) else ()
        self._tolerance = bundle.manifest.tolerance
        self._graph = open_graph(bundle.read(model_file), options, place)
        self._encoder = _encoder(bundle, self._graph, options, place)
        limits = limits or limits_of(bundle.manifest)
        if (
            place.is_device
        ):  # the beginnings of prompts are kept by the host, which cannot reach them
            limits = replace(limits, prefix_cache_bytes=0)
        model_id = f"{bundle.name}/{bundle.version}"
        self._engine = SlotEngine(
            self._graph, limits, stop, model_id=model_id, encoder=self._encoder
        )
        self._grammars = _grammars(bundle, self._graph.vocabulary)
        self._compiling: dict[int, _Arrival] = {}  # constrained requests, until they can be
        self._emits: dict[int, Emit] = {}
        self._inbox: deque[_Message] = deque()
        self._wake = threading.Condition()
        self._closing = False
        name = f"generation-{bundle.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def promised_bytes(self) -> int:
        """What requests may come to need of this process's memory: keys, values, beginnings of prompts."""
        engine = self._engine
        kept = engine.limits.prefix_cache_bytes
        return kept if self._graph.target.kind != "cpu" else kept + engine.kv_total_bytes

    @property
    def provider(self) -> str:
        """That really computes, by the runtime's name."""
        return str(self._graph.session.get_providers()[0])

    @property
    def captures(self) -> bool:
        """Whether its decode steps are captured and replayed."""
        return self._graph.runs.captures

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
        if not self._post(_Arrival(request_id, request, emit, time.monotonic())):
            emit([(request_id, refusal(ShuttingDown("the model is being unloaded")))])

    def cancel(self, request_id: int) -> None:
        """End a request before its next token; one that has ended is ignored."""
        self._post(request_id)

    def terminate(self) -> None:
        """From another thread: let the current step fail, and with it the requests that were in it."""
        self._graph.runs.stop()

    def exam(self, golden: Golden) -> float:
        """Replay the golden exam; largest absolute difference. Raises ExamFailed."""
        return examine(self._graph, golden, self._tolerance, self._encoder)

    def close(self) -> None:
        """Cancel what is running, answer everybody, end the thread. May be called twice."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _post(self, message: _Message) -> bool:
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
            final = GenerationEvent(finish_reason="cancelled")
            self._deliver([(request_id, final) for request_id in self._emits])
            self._report(is_over=True)
            if self._grammars is not None:
                self._grammars.close()

    def _serve(self) -> None:
        while True:
            messages, closing = self._take()
            if closing:
                return
            refused: Events = []
            for message in messages:
                refused += self._handle(message)
            self._graph.runs.go_on()  # a wish concerns one step
            try:
                events = self._step()
            except Exception:  # our own fault, not a row's: all are told, the model stays usable
                _log.exception("a generation step failed")
                events = self._engine.fail_all("generation failed; nothing of it was the request's")
            self._deliver(refused + events)
            if time.monotonic() >= self._report_at:
                self._report()

    def _step(self) -> Events:
        if self._engine.is_idle:
            return []
        if self._report_at == math.inf:
            self._report_at = time.monotonic() + _REPORT_S
        if self._watch is None:
            return self._engine.step()
        self._watch.begin()
        try:
            return self._engine.step()
        finally:
            self._watch.end()

    def _report(self, *, is_over: bool = False) -> None:
        self._report_at = math.inf
        stats = self._engine.take_stats()
        if is_over:
            stats = replace(stats, running=0, waiting=0, slots=0, kv_reserved_bytes=0)
        try:
            self._on_stats(stats)
        except Exception:  # whoever counts is gone or broken; generation goes on
            _log.exception("statistics could not be delivered")

    def _take(self) -> tuple[list[_Message], bool]:
        """What has arrived; waits while there is nothing to do at all."""
        with self._wake:
            while not (self._inbox or self._closing) and self._engine.is_idle:
                left_s = self._report_at - time.monotonic()
                if left_s <= 0.0:
                    break  # for the last report, which says that nothing runs any more
                self._wake.wait(None if left_s == math.inf else left_s)
            if self._closing:
                return [], True
            messages = list(self._inbox)
            self._inbox.clear()
            return messages, False

    def _handle(self, message: _Message) -> Events:
        """The last event of a request that ends before it has joined."""
        if isinstance(message, int):
            if self._compiling.pop(message, None) is not None:
                return [(message, GenerationEvent(finish_reason="cancelled"))]
            self._engine.cancel(message)
            return []
        arrival = message.arrival if isinstance(message, _Compiled) else message
        try:
            if isinstance(message, _Compiled):
                self._join(arrival, message.matcher)
            else:
                self._admit(arrival)
        except SlipwayError as error:
            return [(arrival.request_id, refusal(error))]
        return []

    def _admit(self, arrival: _Arrival) -> None:
        """Into the engine, or first to the compiler of constraints, which may take seconds."""
        self._emits[arrival.request_id] = arrival.emit
        if isinstance(arrival.request, SlipwayError):
            raise arrival.request
        constraint = arrival.request.sampling.constraint
        if constraint is None or self._grammars is None:
            self._engine.submit(arrival.request_id, arrival.request)
            return
        self._compiling[arrival.request_id] = arrival
        matcher = self._grammars.prepare(constraint)
        matcher.add_done_callback(lambda done: self._post(_Compiled(arrival, done)))

    def _join(self, arrival: _Arrival, matcher: Future[GrammarMatcher]) -> None:
        if self._compiling.get(arrival.request_id) is not arrival:
            return  # cancelled meanwhile
        del self._compiling[arrival.request_id]
        request = arrival.request
        assert isinstance(request, GenerationRequest)
        if request.deadline_s is not None:
            left_s = request.deadline_s - (time.monotonic() - arrival.arrived_s)
            request = replace(request, deadline_s=max(0.0, left_s))
        self._engine.submit(arrival.request_id, request, matcher.result())

    def _deliver(self, events: Events) -> None:
        """One call, in the worker one message, for all that a step has to tell to the same receiver."""
        mail: dict[Emit, Events] = {}
        for request_id, event in events:
            if event.finish_reason is None:
                emit = self._emits.get(request_id)
            else:
                emit = self._emits.pop(request_id, None)
            if emit is not None:  # else its emit failed earlier: there is nobody to tell
                mail.setdefault(emit, []).append((request_id, event))
        for emit, told in mail.items():
            try:
                emit(told)
            except Exception:  # the caller's channel is gone: its requests end, the others go on
                _log.exception("events could not be delivered")
                for request_id in [i for i, other in self._emits.items() if other == emit]:
                    del self._emits[request_id]
                    self._engine.cancel(request_id)


def _encoder(
    bundle: Bundle, decoder: DecoderGraph, options: ort.SessionOptions | None, place: Place
) -> EncoderGraph | None:
    """None for a model that continues its prompt. Raises GraphRefused where graph, files and manifest do
    not agree on what the model is."""
    reads_text = isinstance(bundle.manifest.preprocessing, SourceTextPreprocessing)
    has_file = ENCODER_FILE in bundle.manifest.files
    if not decoder.reads_source == reads_text == has_file:
        raise GraphRefused(
            f"{bundle.name}: source_text preprocessing, {ENCODER_FILE} and a decoder of dialect "
            f"{CROSS_DIALECT} belong together; of these there are {reads_text}, {has_file} and "
            f"{decoder.reads_source}"
        )
    if not has_file:
        return None
    return open_encoder(bundle.read(ENCODER_FILE), decoder, options, place)


def _grammars(bundle: Bundle, vocabulary: int) -> GrammarCompiler | None:
    """None for a model whose tokens the bundle does not explain."""
    preprocessing = bundle.manifest.preprocessing
    if not isinstance(preprocessing, PromptPreprocessing):
        return None
    if preprocessing.tokenizer not in bundle.manifest.files:
        return None
    return GrammarCompiler(bundle.read_text(preprocessing.tokenizer), vocabulary)
