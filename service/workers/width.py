"""All threads on one run when nothing else runs: a second, wide session of a model, where that pays.

Under load every core has its own narrow session, which wastes nothing on coordination; alone, one run may
have all cores. No session can change its width, so a model that gains gets two. That it gains is measured,
here in the worker, both widths alternately on the same input; small graphs and recurrent ones do not.

Price: the weights a second time, in one worker. (ONNX Runtime can share prepacked weights between sessions,
but not from Python.)
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from models.bundle import Bundle
from models.datatypes import BY_ONNX, DataType
from models.runtimes.base import Arrays, Session
from service.exam import read_golden
from service.memory import free_bytes

LEAST_GAIN = 1.2
LEAST_RUN_S = 0.002  # below that, waking threads costs what they bring
_BUDGET_S = 0.5
_LEAST_ROUNDS = 3
_MOST_ROUNDS = 12
_SESSION_PER_FILE = (
    4  # a session while it is opened: the file, the parsed graph, the packed weights …
)
_SHARE_OF_FREE = 0.25
_MOST_WAITING = 0.1  # of the time measured, spent waiting for a core


class Disturbed(Exception):
    """Something else was running, here or elsewhere on the machine; the times mean nothing."""


def sample(bundle: Bundle) -> Arrays | None:
    """One item of the exam; zeros where there is none. None when a size cannot be known."""
    golden = read_golden(bundle)
    specs = bundle.manifest.inputs
    if golden is not None:
        return {
            spec.name: golden.inputs[spec.name].take([0], spec.batch_axis)
            if spec.batch_axis is not None
            else golden.inputs[spec.name]
            for spec in specs
        }
    made: Arrays = {}
    for spec in specs:
        shape = [1 if axis == spec.batch_axis else size for axis, size in enumerate(spec.shape)]
        if spec.dtype is DataType.STRING or any(isinstance(size, str) for size in shape):
            return None
        made[spec.name] = np.zeros([int(size) for size in shape], BY_ONNX[spec.dtype.value].numpy)
    return made


def gain(
    narrow: Session, wide: Session, inputs: Mapping[str, np.ndarray], is_alone: Callable[[], bool]
) -> float:
    """How many times faster the wide session is, best run against best run. Raises Disturbed.

    0.0 when their answers differ in as much as a bit: an answer must not depend on who else is asking.
    """
    sessions = (narrow, wide)
    first, second = (session.run(inputs) for session in sessions)  # the first run also allocates
    if any(first[name].tobytes() != second[name].tobytes() for name in first):
        return 0.0
    best = [float("inf")] * 2
    waited_s = waited_for_a_core_s()
    began, rounds = time.perf_counter(), 0
    while rounds < _LEAST_ROUNDS or (
        rounds < _MOST_ROUNDS and time.perf_counter() - began < _BUDGET_S
    ):
        for index, session in enumerate(sessions):
            start = time.perf_counter()
            session.run(inputs)
            best[index] = min(best[index], time.perf_counter() - start)
        if not is_alone():
            raise Disturbed
        rounds += 1
    if waited_for_a_core_s() - waited_s > _MOST_WAITING * (time.perf_counter() - began):
        raise Disturbed
    return best[0] / best[1]


def waited_for_a_core_s(tasks: Path = Path("/proc/self/task")) -> float:
    """How long this process's threads were ready to run and did not; 0 where the kernel does not tell."""
    waited_ns = 0
    for thread in tasks.glob("*/schedstat"):
        try:
            waited_ns += int(thread.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
    return waited_ns / 1e9


def has_memory_for(bundle: Bundle, file: str, unpromised_bytes: int | None = None) -> bool:
    """A second session takes no more than a share of what is free. `unpromised_bytes`: the part of it that
    no other model may come to need, where that is known."""
    free = free_bytes() if unpromised_bytes is None else unpromised_bytes
    files = bundle.manifest.files.items()
    size = sum(entry.size_bytes for name, entry in files if name.startswith(file))
    return size * _SESSION_PER_FILE <= free * _SHARE_OF_FREE
