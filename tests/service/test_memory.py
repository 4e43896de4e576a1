"""How much memory there is; what was freed goes back to the system, not to a pool for later."""

import gc
import os
import sys
from pathlib import Path

import psutil
import pytest

from service.memory import free_bytes, give_back, limit_bytes, private_bytes, resident_bytes


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


def test_memory_is_the_lesser_of_the_machines_and_the_containers(tmp_path: Path) -> None:
    meminfo, proc, group = tmp_path / "meminfo", tmp_path / "proc", tmp_path / "group"
    meminfo.write_text("MemTotal: 100 kB\nMemAvailable: 50 kB\n")
    proc.write_text("0::/\n")
    group.mkdir()
    assert free_bytes(meminfo, proc, group) == 50 << 10
    assert limit_bytes(meminfo, proc, group) == 100 << 10
    (group / "memory.max").write_text("40960\n")
    (group / "memory.current").write_text("30720\n")
    assert free_bytes(meminfo, proc, group) == 10 << 10
    assert limit_bytes(meminfo, proc, group) == 40 << 10
    assert free_bytes(tmp_path / "absent", proc, group) == 0


def test_what_a_process_occupies_counts_shared_files_once_or_not() -> None:
    assert 0 < private_bytes(os.getpid()) < resident_bytes(os.getpid())
    assert private_bytes(2**22 + 1) == resident_bytes(2**22 + 1) == 0
