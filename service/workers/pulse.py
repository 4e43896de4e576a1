"""What a worker is doing at this moment, in memory that it shares with the front ends.

It can be read when the worker is dead, stopped or deaf, which is when somebody wants to know: the handle
that was running when a process ended is the suspect, a batch that never began can be sent to another
worker, and a beat that stands still is a stopped process. Written by the worker alone.

Not promised: a consistent picture of all lanes. Each record is read as it stands.
"""

import fcntl
import mmap
import os
import struct
import time
from typing import NamedTuple

_COUNT = struct.Struct("<Q")  # beats, then things done
_RECORD = struct.Struct("<IIQd")  # handle, connection, request id, time.monotonic() when it began
_HANDLE = struct.Struct("<I")
_FIRST = 64
_STRIDE = 64  # a cache line each: lanes are written by different threads
_LANES = 60

PULSE_BYTES = _FIRST + _LANES * _STRIDE

BATCH_LANE = 0
LOAD_LANE = 1


class Doing(NamedTuple):
    """One thing in progress. `began`: `time.monotonic()` seconds, the same clock for every process."""

    lane: int
    handle: int
    connection: int
    ident: int
    began: float


class Pulse:
    """Lane 0 is the batch being run, lane 1 the model being loaded, the others generation threads."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, PULSE_BYTES)
        self._beats = self._ended = 0
        self._is_busy = [False] * _LANES
        self._taken = {BATCH_LANE, LOAD_LANE}

    @classmethod
    def create(cls) -> "Pulse":
        descriptor = os.memfd_create("slipway-pulse", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, PULSE_BYTES)
        # A worker gone mad cannot shorten it under the front end, which would die of SIGBUS.
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return cls(descriptor)

    # -- the worker's side ------------------------------------------------------------------------

    def begin(self, lane: int, handle: int, connection: int = 0, ident: int = 0) -> None:
        at = _FIRST + lane * _STRIDE
        self._is_busy[lane] = True
        # The handle last: with the time of an earlier run beside it this one would look endless.
        _RECORD.pack_into(self._map, at, 0, connection, ident, time.monotonic())
        _HANDLE.pack_into(self._map, at, handle)

    def end(self, lane: int) -> None:
        """Without effect on a lane that is not in use."""
        if not self._is_busy[lane]:
            return
        self._is_busy[lane] = False
        _HANDLE.pack_into(self._map, _FIRST + lane * _STRIDE, 0)
        self._ended += 1
        _COUNT.pack_into(self._map, _COUNT.size, self._ended)

    def beat(self) -> None:
        self._beats += 1
        _COUNT.pack_into(self._map, 0, self._beats)

    def take_lane(self) -> int | None:
        """A free lane for a thread of its own; None when there are no more, and nobody watches it."""
        free = next((lane for lane in range(_LANES) if lane not in self._taken), None)
        if free is not None:
            self._taken.add(free)
        return free

    def give_lane(self, lane: int) -> None:
        self.end(lane)
        self._taken.discard(lane)

    # -- the front end's side ---------------------------------------------------------------------

    @property
    def beats(self) -> int:
        """Grows while the worker lives; 0 until it is up."""
        return int(_COUNT.unpack_from(self._map, 0)[0])

    @property
    def ended(self) -> int:
        """Batches, loads and steps of generation that came to an end; about, when threads race."""
        return int(_COUNT.unpack_from(self._map, _COUNT.size)[0])

    def doing(self, lane: int) -> Doing | None:
        handle, connection, ident, began = _RECORD.unpack_from(self._map, _FIRST + lane * _STRIDE)
        return Doing(lane, handle, connection, ident, began) if handle else None

    def everything(self) -> list[Doing]:
        found = (self.doing(lane) for lane in range(_LANES))
        return [doing for doing in found if doing is not None]

    def close(self) -> None:
        """Give the descriptor back, now or with the object; what was mapped can still be read."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __del__(self) -> None:
        self.close()


class Lane:
    """A generation thread's own lane. Without one to be had it is not watched, and all else goes on."""

    def __init__(self, pulse: Pulse, handle: int) -> None:
        self._pulse = pulse
        self._handle = handle
        self._lane = pulse.take_lane()

    def begin(self) -> None:
        if self._lane is not None:
            self._pulse.begin(self._lane, self._handle)

    def end(self) -> None:
        if self._lane is not None:
            self._pulse.end(self._lane)

    def give_back(self) -> None:
        if self._lane is not None:
            self._pulse.give_lane(self._lane)
