"""Short turns are asked for by one thread alone, and are not left to what it starts."""

import os
import platform
from concurrent.futures import ThreadPoolExecutor

import pytest

from service import turns


def _linux() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


@pytest.mark.skipif(
    platform.system() != "Linux" or _linux() < (6, 12), reason="needs Linux 6.12 or later"
)
def test_only_the_thread_that_asks_has_them() -> None:
    with ThreadPoolExecutor(1) as thread:
        before = thread.submit(turns.turn_ns).result()
        assert thread.submit(turns.take_short_turns).result()
        assert thread.submit(turns.turn_ns).result() == turns.TURN_NS != before
        assert thread.submit(_of_a_child).result() == before
    assert turns.turn_ns() == before


def _of_a_child() -> int:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(turns.turn_ns()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(reader, 32))


def test_where_nobody_can_be_asked_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "unheard-of")
    assert not turns.take_short_turns()
    assert turns.turn_ns() == 0
