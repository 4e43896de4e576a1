"""The worker's loader thread: models are opened, examined, widened and closed here, one after the other.

So a model that arrives does not hold up those that serve. Not promised: that they do not notice at all. The
runtime keeps the interpreter's lock while it parses a graph (about 0.4 ms per megabyte of file), and opening
takes a core.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from models.bundle import Bundle, open_bundle
from models.errors import IntegrityError
from models.runtimes import preload
from service.memory import give_back
from service.selection.choice import Choice
from service.selection.trial import Comparing
from service.workers.base import LoadReport
from service.workers.channel import Message, Op
from service.workers.footprint import Measure, peaks
from service.workers.host import ModelHost, examine
from service.workers.limits import limited
from service.workers.peer import Peer
from service.workers.pulse import LOAD_LANE, Pulse
from service.workers.width import sample


class Loader:
    """`take` and `call` are for the main loop; the work is done in the order in which it comes."""

    def __init__(self, host: ModelHost, pulse: Pulse) -> None:
        self._host = host
        self._pulse = pulse
        self._queue: queue.SimpleQueue[tuple[int, Callable[[], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="loader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After what it is doing now."""
        self._queue.put(None)

    def call(self, handle: int, work: Callable[[], None]) -> None:
        self._queue.put((handle, work))

    def take(self, peer: Peer, message: Message) -> None:
        """A message of the owner about one model; it is answered when that is done."""
        works = {
            Op.LOAD: self._load,
            Op.EXAMINE: self._examine,
            Op.COMPARE: self._compare,
            Op.WIDEN: self._widen,
            Op.UNLOAD: self._unload,
        }
        kept = message._replace(body=memoryview(bytes(message.body)))
        self.call(message.model, lambda: self._answer(peer, kept, works[Op(kept.op)]))

    def _serve(self) -> None:
        while (entry := self._queue.get()) is not None:
            handle, work = entry
            self._pulse.begin(LOAD_LANE, handle)
            try:
                work()
            except OSError:
                continue  # whoever asked has gone; when it is the owner, the main loop ends everything
            finally:
                self._pulse.end(LOAD_LANE)

    def _answer(
        self, peer: Peer, message: Message, work: Callable[[Message], bytes | None]
    ) -> None:
        try:
            body = work(message) or b""
        except Exception as error:  # whatever it was, the sender is told, and the rest goes on
            self._pulse.end(LOAD_LANE)
            peer.fail(message, error)
            return
        self._pulse.end(LOAD_LANE)  # before it is told: what happens next is not this model's fault
        peer.channel.send(Op.DONE, ident=message.ident, body=body)

    def _load(self, message: Message) -> bytes:
        bundle, choice, _ = _ordered(message)
        report, _ = self._measured(message.model, bundle, choice)
        return orjson.dumps(report)

    def _examine(self, message: Message) -> bytes:
        """Load and forget, within the memory and time that the order allows."""
        bundle, choice, order = _ordered(message)
        with limited(order["memory_bytes"], order["cpu_s"], f"{bundle.name}/{bundle.version}"):
            report, measure = self._measured(message.model, bundle, choice)
            if report.exam_difference is None:
                self._host.try_out(message.model)
            if choice.provider == "cpu" and bundle.manifest.runner == "batch":
                report = self._run_large(message.model, report, measure, order["most_rows"])
        self._unload(message)
        return orjson.dumps(report)

    def _measured(self, handle: int, bundle: Bundle, choice: Choice) -> tuple[LoadReport, Measure]:
        """Load, and what that takes of this process: without the runtime itself, which stays."""
        preload(choice.runtime)
        if bundle.manifest.runner == "generation":
            import_module("service.generation.host")
        measure = Measure()
        report = self._host.load(handle, bundle, choice)
        memory = measure.loaded(self._host.promised_bytes(handle))
        return replace(report, memory=memory), measure

    def _run_large(
        self, handle: int, report: LoadReport, measure: Measure, most_rows: int
    ) -> LoadReport:
        """With the peaks of batches, where there is something to make them of."""
        model = self._host.model(handle)
        item = sample(model.bundle)
        if item is None:
            return report
        found = peaks(measure, model.session.run, item, model.bundle.manifest.inputs, most_rows)
        return replace(report, memory=replace(report.memory, peaks=found))

    def _compare(self, message: Message) -> bytes:
        """Time candidates, within the memory and time that the order allows; none of them is kept."""
        bundle, base, order = _ordered(message)
        rivals = [Choice.from_json(rival) for rival in order["rivals"]]
        with limited(order["memory_bytes"], order["cpu_s"], f"{bundle.name}/{bundle.version}"):
            comparing = Comparing(self._host.open, examine, time_s=order["time_s"])
            found = comparing.compare(bundle, base, rivals)
        give_back()
        return orjson.dumps(found)

    def _widen(self, message: Message) -> bytes:
        order = orjson.loads(message.body)
        width = self._host.widen(message.model, order["threads"], order["free_bytes"])
        return orjson.dumps(width)

    def _unload(self, message: Message) -> None:
        self._host.unload(message.model)
        give_back()


def _ordered(message: Message) -> tuple[Bundle, Choice, dict[str, Any]]:
    """The bundle that the front end means, and how to run it. Raises BundleError when it is not there
    any more."""
    order = orjson.loads(message.body)
    bundle = open_bundle(Path(order["path"]), verify=False)
    if bundle.manifest.created_at != order["created_at"]:
        raise IntegrityError(f"{bundle.name}/{bundle.version} was replaced while it was loaded")
    return bundle, Choice.from_json(order["choice"]), order
