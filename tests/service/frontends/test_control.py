"""Messages arrive whole and in order, answers find their questions, and descriptors their process."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.frontends.control import Control, Message, PeerGone
from tests.service.loops import in_loop


class End:
    """One end that remembers what it got."""

    def __init__(self, sock: socket.socket) -> None:
        self.got: asyncio.Queue[tuple[Message, list[int]]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.control = Control(
            sock,
            on_message=lambda message, descriptors: self.got.put_nowait((message, descriptors)),
            on_question=self._answer,
            on_end=self.ended.set,
        )

    async def _answer(self, question: Message) -> Message:
        if question["kind"] == "never":
            await asyncio.Event().wait()
        return {"twice": question["value"] * 2}


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[End, End]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ends = End(ours), End(theirs)
    try:
        yield ends
    finally:
        for end in ends:
            end.control.close()


@in_loop
async def test_messages_of_every_length_arrive_in_order() -> None:
    async with pair() as (left, right):
        sizes = [0, 1, 48 << 10, (48 << 10) + 1, 5_000_000, 3]
        for size in sizes:
            left.control.send("text", text="ü" * size)
        for size in sizes:
            message, _ = await right.got.get()
            assert message == {"kind": "text", "text": "ü" * size}


@in_loop
async def test_answers_find_their_questions() -> None:
    async with pair() as (left, right):
        asked = [(left, value) for value in range(50)] + [(right, value) for value in range(50)]
        answers = await asyncio.gather(
            *(end.control.ask("double", limit_s=5, value=value) for end, value in asked)
        )
        assert [answer["twice"] for answer in answers] == [2 * value for _, value in asked]


@in_loop
async def test_descriptors_arrive_as_copies_with_their_message() -> None:
    async with pair() as (left, right):
        readable, writable = os.pipe()
        left.control.send("plain")
        left.control.send("pipe", [writable], text="x" * 200_000)
        left.control.send("plain")
        os.close(writable)
        got = [await right.got.get() for _ in range(3)]
        assert [len(descriptors) for _, descriptors in got] == [0, 1, 0]
        [copy] = got[1][1]
        os.write(copy, b"through")
        os.close(copy)
        assert os.read(readable, 100) == b"through"
        assert os.read(readable, 100) == b""  # no copy has stayed open
        os.close(readable)


@in_loop
async def test_the_end_of_a_process_is_told_once_and_fails_what_was_asked() -> None:
    async with pair() as (left, right):
        asking = asyncio.create_task(left.control.ask("never", limit_s=60))
        await asyncio.sleep(0)
        right.control.close()
        await left.ended.wait()
        with pytest.raises(PeerGone):
            await asking
        with pytest.raises(PeerGone):
            await left.control.ask("double", limit_s=60, value=1)
        left.control.send("into the void")


@in_loop
async def test_a_deaf_process_is_given_up_in_time() -> None:
    async with pair() as (left, _):
        with pytest.raises(PeerGone, match="does not answer"):
            await left.control.ask("never", limit_s=0.01)
