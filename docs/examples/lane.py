"""A command of Slipway's in a process that need not begin by importing PyTorch.

Python's fork server imports `preload` once, and every process is forked from it: the seconds that imports
take are paid for once and not by each of the demo's trainings.
"""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path


def run(arguments: list[str]) -> tuple[int, str]:
    """`slipway ARGUMENTS` → (exit code, what it said). Waits for it; may be called by several threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["docs.examples.preload"])
    with tempfile.TemporaryDirectory(prefix="slipway-demo-") as folder:
        told = Path(folder) / "told.txt"
        process = context.Process(target=_run, args=(arguments, told))
        process.start()
        process.join()
        code = process.exitcode
        return (1 if code is None else code), told.read_text(errors="replace")


def _run(arguments: list[str], told: Path) -> None:
    """In the new process. Its file descriptors, not Python's streams: libraries in C write too."""
    import slipway

    with told.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.exit(slipway.main(arguments))
