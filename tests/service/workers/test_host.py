"""What a worker holds: a generation thread that ended by a fault is replaced, not left dead."""

import queue
from pathlib import Path

import pytest

from service.generation.engine import SlotEngine
from service.generation.request import GenerationEvent
from service.generation.requests import Events
from service.workers.host import ModelHost
from service.workers.options import HostOptions
from service.workers.pulse import Pulse
from tests.service.generation.conftest import TinyModel, request
from tests.service.generation.conftest import tiny as tiny  # the fixture
from tests.service.generation.test_host import publish_tiny

HANDLE = 1


def _ask(host: ModelHost, ident: int) -> list[GenerationEvent]:
    """Every event of one short request."""
    arrived: queue.Queue[Events] = queue.Queue()
    payload = request([1, 2, 3], max_tokens=3, seed=1).to_json()
    host.generate(HANDLE, ident, payload, arrived.put)
    events: list[GenerationEvent] = []
    while not events or events[-1].finish_reason is None:
        events += [event for _, event in arrived.get(timeout=10)]
    return events


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_generation_thread_that_died_is_replaced_at_the_next_request(
    tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = ModelHost(HostOptions())
    host.load(HANDLE, publish_tiny(tiny, tmp_path))
    try:
        expected = [event.token_ids for event in _ask(host, 1)]
        with monkeypatch.context() as fault:
            fault.setattr(SlotEngine, "submit", lambda *_: 1 / 0)
            assert _ask(host, 2)[-1].finish_reason == "cancelled"
            host._generation[HANDLE]._thread.join(10)
        assert [event.token_ids for event in _ask(host, 3)] == expected
    finally:
        host.close()


def test_a_generation_step_that_hangs_is_asked_to_stop(tiny: TinyModel, tmp_path: Path) -> None:
    """The wish reaches the runtime: the request that was in the step fails, the next one is answered."""
    pulse = Pulse.create()
    host = ModelHost(HostOptions(), pulse)
    host.load(HANDLE, publish_tiny(tiny, tmp_path))
    try:
        expected = [event.token_ids for event in _ask(host, 1)]
        engine = host._generation[HANDLE]._engine
        step, seen = engine.step, []

        def slow_step() -> object:
            engine.step = step  # once
            [doing] = pulse.everything()
            host.terminate(doing)
            seen.append(doing)
            return step()

        engine.step = slow_step
        failed = _ask(host, 2)
        assert (failed[-1].finish_reason, failed[-1].code) == ("error", "inference_failed")
        assert seen[0].handle == HANDLE
        assert not pulse.everything()
        assert [event.token_ids for event in _ask(host, 3)] == expected
    finally:
        host.close()
