"""The models that one worker holds: opened, examined, run. The same for a child process and in-process.

A handle is the small number that the front end gave a model; it is what crosses instead of a name.
"""

import contextlib
import logging
import math
import mmap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import Bundle
from models.datatypes import BY_ONNX, TypeInfo
from models.errors import ExamFailed, InputRefused
from models.runtimes import open_session
from models.runtimes.base import RunsInto, Session
from models.runtimes.graph import Graph, external_weights
from models.runtimes.shapes import output_shapes
from service.errors import NotReady
from service.exam import read_golden, replay
from service.memory import free_bytes
from service.selection.choice import Choice, exam_of, reference
from service.workers.base import LoadReport
from service.workers.footprint import Measure
from service.workers.options import HostOptions
from service.workers.pulse import BATCH_LANE, LOAD_LANE, Doing, Lane, Pulse
from service.workers.width import (
    LEAST_GAIN,
    LEAST_RUN_S,
    Disturbed,
    gain,
    has_memory_for,
    sample,
)

if TYPE_CHECKING:
    from models.runtimes.onnxruntime.pinned import PinnedMemory
    from service.generation.host import Emit, GenerationHost
    from service.generation.stats import EngineStats

_log = logging.getLogger("slipway.host")


# Of outputs. Measured, copied ÷ computed in place: 0.7 at 1 MiB, 0.9 at 2, 1.1 at 4, 1.6 at 8; 1.1 for a
# network that computes for 50 ms and leaves 22 MB.
LARGE_BYTES = 4 << 20

Room = Callable[[list[tuple[int, ...]]], list[np.ndarray] | None]
"""Shapes of outputs in manifest order → memory for them, or that there is none."""


@dataclass
class BatchModel:
    """`inputs` and `outputs`: tensor names in manifest order, which is the order they cross in.

    `wide`: a second session with more threads, for runs that have the machine to themselves.
    """

    session: Session
    bundle: Bundle
    choice: Choice
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_types: tuple[TypeInfo, ...]
    wide: Session | None = None

    def run(
        self, inputs: list[np.ndarray], is_alone: bool = False, room: Room | None = None
    ) -> tuple[list[np.ndarray], float]:
        """Outputs in manifest order and the seconds that the graph took. `room` is asked for memory for
        large outputs, which are then in it."""
        session = self.wide if is_alone and self.wide is not None else self.session
        named = dict(zip(self.inputs, inputs, strict=True))
        wanted = None if room is None else self._wanted(session, named, room)
        began = time.perf_counter()
        if wanted is not None and isinstance(session, RunsInto) and session.run_into(named, wanted):
            answers = wanted
        else:
            answers = session.run(named)
        infer_s = time.perf_counter() - began
        return [answers[name] for name in self.outputs], infer_s

    def _wanted(
        self, session: Session, inputs: dict[str, np.ndarray], room: Room
    ) -> dict[str, np.ndarray] | None:
        """Memory for the outputs; None where copying them costs next to nothing, or nobody can say how large
        they will be."""
        if not isinstance(session, RunsInto):
            return None
        manifest = self.bundle.manifest
        shapes = output_shapes(manifest.inputs, manifest.outputs, inputs)
        if shapes is None:
            return None
        named = [shapes[name] for name in self.outputs]
        sizes = zip(named, self.output_types, strict=True)
        if sum(math.prod(shape) * info.numpy.itemsize for shape, info in sizes) < LARGE_BYTES:
            return None
        memory = room(named)
        return None if memory is None else dict(zip(self.outputs, memory, strict=True))

    def terminate(self) -> None:
        for session in (self.session, self.wide):
            if session is not None:
                session.terminate()

    def close(self) -> None:
        for session in (self.session, self.wide):
            if session is not None:
                session.close()


@dataclass(frozen=True)
class Width:
    """What `widen` found; `width` in words, `memory_bytes` that the wide session took."""

    width: str
    is_wide: bool = False
    is_disturbed: bool = False
    memory_bytes: int = 0


class ModelHost:
    """Handle → model. Loading, unloading and running may be called from different threads.

    `on_stats` is told what a generation model's engine measured, by the thread of that model.
    """

    def __init__(self, options: HostOptions, pulse: Pulse | None = None) -> None:
        self.options = options
        self._pulse = pulse
        self._lanes: dict[int, Lane] = {}  # of generation models
        self._running: tuple[int, int, BatchModel] | None = None  # connection, request id, model
        self._lock = threading.Lock()
        self._batch: dict[int, BatchModel] = {}
        self._pinned: PinnedMemory | None = None
        self._generation: dict[int, GenerationHost] = {}
        self._choices: dict[int, Choice] = {}  # of generation models
        self.on_stats: Callable[[int, EngineStats], None] = lambda *_: None

    def load(self, handle: int, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        """Open and examine; without a choice the reference. Raises BundleError; nothing is kept then."""
        began = time.perf_counter()
        choice = choice or reference(bundle.manifest, self.options.provider)
        if bundle.manifest.runner == "generation":
            difference = self._load_generation(handle, bundle, choice)
            provider = self._generation[handle].provider
        else:
            difference, provider = self._load_batch(handle, bundle, choice)
        return LoadReport(
            seconds=time.perf_counter() - began,
            exam_difference=difference,
            provider=provider,
            threads=self.options.threads,
            details=self._details(handle),
            choice=choice,
        )

    def _details(self, handle: int) -> dict[str, str]:
        """What its session has to say beyond that."""
        model = self._batch.get(handle)
        if model is not None:
            return dict(model.session.describe().details)
        if not self.options.gpu.cuda_graphs or self._choices[handle].provider == "cpu":
            return {}
        captures = self._generation[handle].captures
        return {"cuda_graphs": "decode steps" if captures else "none can be captured"}

    def open(self, bundle: Bundle, choice: Choice, threads: int = 0) -> Session:
        """A session of a choice, with a worker's threads or as many as are said. Raises BundleError."""
        options = replace(
            self.options,
            threads=threads or self.options.threads,
            provider=choice.provider,
            compute=choice.compute,
        )
        session = open_session(choice.runtime, Graph.of(bundle, choice.file), options)
        if choice.provider != "cpu" and self._pinned is None:
            from models.runtimes.onnxruntime.pinned import PinnedMemory

            self._pinned = PinnedMemory.of(options.gpu.device_id)
        return session

    def pin(self, memory: mmap.mmap) -> Callable[[], None] | None:
        """Let the GPU read memory by itself, once a model is there; what gives it back."""
        return None if self._pinned is None else self._pinned.pin(memory)

    def unload(self, handle: int) -> None:
        """Forget a model; unknown handles are ignored, since a failed load leaves none."""
        model = self._batch.pop(handle, None)
        if model is not None:
            model.close()
        host = self._generation.pop(handle, None)
        if host is not None:
            host.close()
        self._choices.pop(handle, None)
        lane = self._lanes.pop(handle, None)
        if lane is not None:
            lane.give_back()

    def model(self, handle: int) -> BatchModel:
        model = self._batch.get(handle)
        if model is None:
            raise NotReady("the worker does not hold this model")
        return model

    def run(
        self,
        handle: int,
        connection: int,
        ident: int,
        inputs: list[np.ndarray],
        is_alone: bool = False,
        room: Room | None = None,
    ) -> tuple[list[np.ndarray], float]:
        """Run a batch so that it can be told to stop. For one thread."""
        model = self.model(handle)
        with self._lock:
            self._running = (connection, ident, model)
        try:
            return model.run(inputs, is_alone, room)
        finally:
            with self._lock:
                self._running = None

    def terminate(self, doing: Doing) -> None:
        """Ask the runtime to give up what runs for too long, if it still does. Loads cannot be asked."""
        generation = self._generation.get(doing.handle)
        if generation is not None and doing.lane not in (BATCH_LANE, LOAD_LANE):
            _log.warning("a step of %s has run for too long", generation.bundle.name)
            generation.terminate()
        with self._lock:
            if self._running is not None and self._running[:2] == (doing.connection, doing.ident):
                _log.warning("%s has run for too long", self._running[2].bundle.name)
                self._running[2].terminate()

    def try_out(self, handle: int) -> None:
        """Run a model that has no exam once, for what that does to the process and its memory.

        Raises InferenceFailed; a graph that merely dislikes the made-up input is no worse for it.
        """
        model = self._batch.get(handle)
        inputs = sample(model.bundle) if model is not None else None
        if model is not None and inputs is not None:
            with contextlib.suppress(InputRefused):
                model.session.run(inputs)

    def promised_bytes(self, handle: int) -> int:
        """What requests of a text model may come to need besides what is taken now."""
        host = self._generation.get(handle)
        return 0 if host is None else host.promised_bytes

    def widen(self, handle: int, threads: int, free_bytes: int) -> Width:
        """Open a wide session of a batch model and keep it if it pays, `free_bytes` being what nobody else
        was promised. Not for the thread that runs."""
        model = self.model(handle)
        narrow = str(self.options.threads)
        inputs = sample(model.bundle)
        if inputs is None:
            return Width(f"{narrow} (nothing to measure with)")
        began = time.perf_counter()
        model.session.run(inputs)
        if time.perf_counter() - began < LEAST_RUN_S:
            return Width(f"{narrow} (a run is too short to gain by more)")
        if not has_memory_for(model.bundle, model.choice.file, free_bytes):
            return Width(f"{narrow} (no memory for a second session)")
        measure = Measure()
        wide = self.open(model.bundle, model.choice, threads)
        try:
            gained = gain(model.session, wide, inputs, lambda: self._running is None)
        except BaseException as error:  # passed on, but for a measurement to be repeated
            wide.close()
            if isinstance(error, Disturbed):
                return Width(f"{narrow} (too busy to measure)", is_disturbed=True)
            raise
        if gained < LEAST_GAIN or self._batch.get(handle) is not model:
            wide.close()
            return Width(f"{narrow} ({threads} gain {gained:.2f}×)")
        model.wide = wide
        return Width(
            f"{narrow}, or {threads} for a batch that is alone ({gained:.2f}×)",
            is_wide=True,
            memory_bytes=measure.loaded().loaded_bytes,
        )

    def is_stale(self, handle: int) -> bool:
        """True when a generation model must be opened again before it can answer."""
        host = self._generation.get(handle)
        return host is not None and not host.is_alive

    def generate(self, handle: int, ident: int, payload: bytes, emit: "Emit") -> None:
        host = self._generation.get(handle)
        if host is None:
            raise NotReady("the worker does not hold this model")
        if not host.is_alive:
            # Its thread ended by a fault of ours: the model is opened and examined anew, once, here,
            # where nobody else would notice before the next request. Takes a while: see `is_stale`.
            _log.error("%s: the generation thread has ended; opening it again", host.bundle.name)
            self._load_generation(handle, host.bundle, self._choices[handle])
            host = self._generation[handle]
        host.submit(ident, payload, emit)

    def cancel(self, handle: int, ident: int) -> None:
        host = self._generation.get(handle)
        if host is not None:
            host.cancel(ident)

    def close(self) -> None:
        for handle in [*self._batch, *self._generation]:
            self.unload(handle)

    def _load_batch(self, handle: int, bundle: Bundle, choice: Choice) -> tuple[float | None, str]:
        session = self.open(bundle, choice)
        try:
            difference = examine(session, bundle, choice)
        except BaseException:  # whatever it was goes on to the loader; the session must not stay
            session.close()
            raise
        manifest = bundle.manifest
        self._batch[handle] = BatchModel(
            session,
            bundle,
            choice,
            tuple(spec.name for spec in manifest.inputs),
            tuple(spec.name for spec in manifest.outputs),
            tuple(BY_ONNX[spec.dtype.value] for spec in manifest.outputs),
        )
        return difference, session.describe().provider

    def _load_generation(self, handle: int, bundle: Bundle, choice: Choice) -> float | None:
        # Heavier than the rest of this module, and only where a generation model is served.
        from models.runtimes.onnxruntime import add_weights, session_options_of
        from service.generation.host import GenerationHost
        from service.generation.limits import limits_of
        from service.generation.place import place_of

        place = place_of(bundle, choice.file, choice.provider, self.options.gpu)
        session_options = session_options_of(self.options)
        weights = external_weights(bundle, choice.file)
        add_weights(session_options, weights)
        lane = self._lanes.get(handle)
        if lane is None and self._pulse is not None:
            lane = self._lanes[handle] = Lane(self._pulse, handle)
        limits = limits_of(bundle.manifest, self.options.generation, free_bytes())
        host = GenerationHost(
            bundle,
            session_options,
            limits,
            watch=lane,
            on_stats=lambda stats: self.on_stats(handle, stats),
            model_file=choice.file,
            place=place,
        )
        del weights  # the session has its own copy now
        try:
            golden = read_golden(bundle, exam_of(bundle.manifest, choice).golden)
            difference = None if golden is None else host.exam(golden)
        except BaseException:  # whatever it was goes on to the loader; the thread must not stay
            host.close()
            raise
        self._generation[handle], self._choices[handle] = host, choice
        return difference


def examine(session: Session, bundle: Bundle, choice: Choice) -> float | None:
    """Raises ExamFailed, naming the version, also for a run that fails."""
    try:
        return replay(session, bundle, choice)
    except ExamFailed as error:
        raise ExamFailed(f"{bundle.name}/{bundle.version}: {error.message}") from error
    except Exception as error:  # a run that raises is a failed exam too; the loader is told so
        raise ExamFailed(
            f"{bundle.name}/{bundle.version}: golden exam: the model could not be run: {error}"
        ) from error
