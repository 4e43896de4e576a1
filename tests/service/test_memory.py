"""What was freed goes back to the system, not to a pool for later."""

import gc
import sys

import psutil
import pytest

from service.memory import give_back


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the C library must have malloc_trim"
)
def test_freed_blocks_leave_the_process() -> None:
    process = psutil.Process()
    # Blocks below malloc's own limit for mapping, so that without trimming they would stay on its lists;
    # every second one is kept, as a real program's leftovers would be.
    blocks = [bytearray(60_000) for _ in range(2_000)]
    kept = blocks[::200]
    full = process.memory_info().rss
    del blocks
    give_back()
    assert process.memory_info().rss < full - 60_000_000
    assert len(kept) == 10


def test_cycles_are_collected() -> None:
    gc.disable()
    try:
        loop: list[object] = []
        loop.append(loop)
        del loop
        give_back()
        assert gc.collect() == 0
    finally:
        gc.enable()
