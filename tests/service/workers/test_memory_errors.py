"""A batch without memory, and a device without life: what callers are told, and who lives on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import DeviceLost, OutOfMemory
from models.manifest import Batching
from service.batching.isolate import isolate
from service.batching.ticket import Ticket
from service.workers import failures
from service.workers.base import ModelKey
from service.workers.channel import Message, Op
from service.workers.serving import Worker
from tests.service import graphs
from tests.service.workers.conftest import MakePool

KEY = ModelKey("glutton", 1)


@pytest.fixture
def glutton(tmp_path: Path) -> Bundle:
    """Runs one item at a time; two are beyond any memory."""
    made = graphs.glutton()
    return made.publish(
        tmp_path / "repository", "glutton", tmp_path, batching=Batching(max_batch_size=8)
    )


@pytest.mark.anyio
async def test_a_batch_beyond_memory_fails_alone_and_the_worker_lives(
    glutton: Bundle, make_pool: MakePool
) -> None:
    async with make_pool(1) as pool:
        await pool.load(glutton)
        before = pool.pids()
        with pytest.raises(OutOfMemory) as refusal:
            await pool.run(KEY, {"x": np.ones((2, 2), np.float32)})
        assert refusal.value.status == 503
        assert refusal.value.retry_after_s
        assert "requested buffer" in refusal.value.detail
        result = await pool.run(KEY, {"x": np.ones((1, 2), np.float32)})
        np.testing.assert_array_equal(result.outputs["y"], np.ones((1, 2)))
        assert pool.pids() == before


def test_both_errors_cross_with_what_the_log_needs() -> None:
    for error in (OutOfMemory(detail="size 12"), DeviceLost(detail="700")):
        found: Any = failures.from_json(failures.to_json(error))
        assert type(found) is type(error)
        assert (found.message, found.detail) == (error.message, error.detail)


# -- a device that is lost -------------------------------------------------------------------------


class Line:
    """A front end's channel that hands out messages and keeps what it is sent."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.sock = self

    def fileno(self) -> int:
        raise AssertionError("a single front end is not polled")

    def receive_part(self) -> Message | None:
        return self.messages.pop(0) if self.messages else None


class Held:
    """A worker's inside, whose every run ends with one error."""

    def __init__(self, error: Exception) -> None:
        self.error, self.runs, self.is_closed = error, 0, False

    def model(self, _: int) -> Any:
        return type("Model", (), {"output_types": ()})

    def run(self, *_: object, **__: object) -> None:
        self.runs += 1
        raise self.error

    def close(self) -> None:
        self.is_closed = True


def served(error: Exception, monkeypatch: pytest.MonkeyPatch) -> tuple[Held, list[str]]:
    """What a worker does with three batches."""
    told: list[str] = []

    class Peer:
        number = 0
        readers = (type("Reader", (), {"read": staticmethod(lambda _: [])}),)
        writers = (None,)
        channel = Line([Message(Op.RUN, 0, 1, ident, memoryview(b"")) for ident in range(3)])

        @staticmethod
        def fail(_: Message, failure: Any) -> None:
            told.append(failure.reason)

    def nothing(*_: object) -> None: ...

    held: Any = Held(error)
    pulse: Any = type("Pulse", (), {"begin": nothing, "end": nothing})()
    loader = type("Loader", (), {"__init__": nothing, "start": nothing, "stop": nothing})
    monkeypatch.setattr("service.workers.serving.Loader", loader)
    monkeypatch.setattr(Worker, "_welcome", lambda worker, peer: worker._peers.update({0: peer}))
    peer: Any = Peer()
    Worker(peer, held, pulse).serve()
    return held, told


def test_a_worker_whose_device_is_lost_says_so_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    held, told = served(DeviceLost(), monkeypatch)
    assert told == ["device_lost"], "the other two go to its successor"
    assert not held.is_closed, "closing sessions of a lost device fails, or never ends"


def test_a_worker_that_ran_out_of_memory_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    held, told = served(OutOfMemory(), monkeypatch)
    assert told == ["out_of_memory"] * 3
    assert held.is_closed


# -- batches ---------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_items_whose_batch_does_not_fit_are_answered_in_parts(
    glutton: Bundle, make_pool: MakePool
) -> None:
    tickets = [
        Ticket({"x": np.full((1, 2), value, np.float32)}, 1, arrived=0.0) for value in range(4)
    ]
    sizes: list[int] = []
    async with make_pool(1) as pool:
        await pool.load(glutton)

        async def attempt(some: Sequence[Ticket]) -> None:
            sizes.append(len(some))
            result = await pool.run(KEY, {"x": np.concatenate([one.inputs["x"] for one in some])})
            for row, ticket in enumerate(some):
                ticket.succeed({"y": result.outputs["y"][row]})

        with pytest.raises(OutOfMemory) as refusal:
            await attempt(tickets)
        await isolate(tickets, refusal.value, attempt)
    assert sizes == [4, 2, 2, 1, 1, 1, 1]
    for value, ticket in enumerate(tickets):
        assert ticket.error is None
        assert ticket.outputs is not None
        np.testing.assert_array_equal(ticket.outputs["y"], [value, value])
