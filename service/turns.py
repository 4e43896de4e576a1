"""Turns on the cores: the event loop's come soon, the workers give way to it.

A model's threads keep every core busy, and the loop's next moment of work waits until one of their turns
is over, which is milliseconds. Since Linux 6.12 a thread may ask for shorter turns; it has them earlier for
that, and no more time in all (`sched_setattr(2)`, `sched_runtime` of an ordinary thread). Elsewhere all
stays as it was. Workers are nicer than the loop, which needs little; what it does not need is theirs. In a
container, in a service's control group or in a session of its own that concerns nobody but the server.
"""

import contextlib
import ctypes
import os
import platform

TURN_NS = 100_000  # the least that the kernel gives
NICER = 5  # a third of the weight of the loop's thread

# (sched_setattr, sched_getattr); libc has no functions for them before glibc 2.41.
_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}
_RESET_ON_FORK = 0x01  # workers and their threads have the usual turns
_ORDINARY = 0  # SCHED_OTHER


class _Attributes(ctypes.Structure):
    """`struct sched_attr` of linux/sched/types.h, first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def take_short_turns() -> bool:
    """For the calling thread. False where the kernel does not give them, or an operator chose otherwise."""
    found = _attributes()
    if found is None or found.policy != _ORDINARY:
        return False
    found.flags |= _RESET_ON_FORK
    found.runtime_ns = TURN_NS
    _call(0, found, 0)
    return turn_ns() == TURN_NS


def give_way() -> None:
    """For the start of a worker's process, before it has threads."""
    with contextlib.suppress(OSError):
        os.nice(NICER)


def turn_ns() -> int:
    """What the calling thread has asked for; 0: nothing, or nobody could be asked."""
    found = _attributes()
    return 0 if found is None else found.runtime_ns


def _attributes() -> _Attributes | None:
    found = _Attributes(size=ctypes.sizeof(_Attributes))
    return found if _call(1, found, found.size, 0) else None


def _call(which: int, attributes: _Attributes, *rest: int) -> bool:
    """The `which`-th of _CALLS for the calling thread; whether it was done."""
    numbers = _CALLS.get(platform.machine()) if platform.system() == "Linux" else None
    if numbers is None:
        return False
    done: int = ctypes.CDLL(None).syscall(numbers[which], 0, ctypes.byref(attributes), *rest)
    return done == 0
