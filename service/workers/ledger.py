"""The account of memory: what every loaded model has taken and may still come to take, against what there is.

A model is admitted when all its copies fit beside the growth that others were promised, each at its largest
batch. What it takes was measured where it was examined; what others have taken already is seen in the
workers' sizes, so only what they have not used yet is set aside. Pure bookkeeping: sizes are given or read
through callables.

Not counted: memory on a GPU, texts longer than those of a model's exam, and what other programs on the
machine come to take later.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from models.bundle import Bundle
from models.runtimes.base import LoadOutOfMemory
from service.memory import free_bytes, limit_bytes, private_bytes
from service.selection.choice import Choice
from service.workers.base import ModelKey
from service.workers.footprint import Footprint

_MIB = 1 << 20


@dataclass(frozen=True)
class Room:
    """`free_bytes` of `limit_bytes`, by the container and the machine; 0 and 0: nobody can tell."""

    free_bytes: int
    limit_bytes: int


def room_of(wanted_limit_bytes: int, pids: Callable[[], Sequence[int]]) -> Room:
    """By the container and the machine, and what the operator allows all of `pids` together (0: no less)."""
    free, limit = free_bytes(), limit_bytes()
    if wanted_limit_bytes:
        used = sum(private_bytes(pid) for pid in pids())
        free = max(min(free, wanted_limit_bytes - used), 0) if free else 0
        limit = min(limit, wanted_limit_bytes) if limit else wanted_limit_bytes
    return Room(free, limit)


def least_bytes(bundle: Bundle, choice: Choice) -> int:
    """Its graph is read, and opened: the weights twice."""
    files = bundle.manifest.files.items()
    return 2 * sum(entry.size_bytes for name, entry in files if name.startswith(choice.file))


@dataclass(frozen=True)
class Entry:
    """One model: `copies` sessions, each taking `loaded_bytes` now and `most_bytes` at the most; `wide_bytes`
    of a wide session besides."""

    copies: int
    loaded_bytes: int
    most_bytes: int
    wide_bytes: int = 0

    @property
    def taken_bytes(self) -> int:
        return self.copies * self.loaded_bytes + self.wide_bytes

    @property
    def promised_bytes(self) -> int:
        return self.copies * self.most_bytes + self.wide_bytes

    def __str__(self) -> str:
        where = f" in {self.copies} workers" if self.copies > 1 else ""
        return f"{_mib(self.taken_bytes)}{where}, at most {_mib(self.promised_bytes)}"


@dataclass(frozen=True)
class Need:
    """What a model that is to be loaded may come to take on `copies` workers."""

    key: ModelKey
    copies: int
    each_bytes: int
    most_rows: int

    @classmethod
    def of(cls, key: ModelKey, footprint: Footprint, copies: int, most_rows: int) -> "Need":
        each = max(footprint.at(most_rows), footprint.opening_bytes)
        return cls(key, copies, each, most_rows)

    @property
    def total_bytes(self) -> int:
        return self.copies * self.each_bytes

    def __str__(self) -> str:
        rows = f" with batches of {self.most_rows}" if self.most_rows > 1 else ""
        if self.copies == 1:
            return _mib(self.total_bytes) + rows
        each = f"{self.copies} workers, {_mib(self.each_bytes)} each"
        return f"{_mib(self.total_bytes)} ({each}{rows})"


class MemoryLedger:
    """`room` is asked what there is; `workers_bytes` what every worker occupies, by its process's id."""

    def __init__(
        self, room: Callable[[], Room], workers_bytes: Callable[[], Mapping[int, int]] = dict
    ) -> None:
        self._room = room
        self._workers_bytes = workers_bytes
        self._entries: dict[ModelKey, Entry] = {}
        self._coming: dict[ModelKey, int] = {}
        self._empty: dict[int, int] = {}  # what a worker occupied before its first model

    def __getitem__(self, key: ModelKey) -> Entry:
        return self._entries[key]

    def __contains__(self, key: ModelKey) -> bool:
        return key in self._entries

    def room(self) -> Room:
        return self._room()

    def free_bytes(self) -> int:
        """That no loaded or coming model will want."""
        return self._room().free_bytes - self.reserved_bytes()

    def reserved_bytes(self) -> int:
        """What loaded and coming models have not taken yet of what they may."""
        promised = sum(entry.promised_bytes for entry in self._entries.values())
        promised += sum(self._coming.values())
        return max(promised - self._grown_bytes(), 0)

    def require(self, key: ModelKey, least_bytes: int) -> None:
        """Before it is even examined. Raises LoadOutOfMemory when its files alone do not fit."""
        room = self._room()
        if room.limit_bytes and least_bytes > self.free_bytes():
            raise self._refusal(key, f"needs at least {_mib(least_bytes)} to be opened", room)

    def check(self, need: Need) -> None:
        """Raises LoadOutOfMemory, with the numbers, when there is no room for it."""
        room = self._room()
        if room.limit_bytes and need.total_bytes > self.free_bytes():
            raise self._refusal(need.key, f"needs {need}", room)

    @contextmanager
    def coming(self, need: Need) -> Iterator[None]:
        """While it is loaded: what it may take is set aside."""
        self._coming[need.key] = need.total_bytes
        try:
            yield
        finally:
            del self._coming[need.key]

    def loaded(self, key: ModelKey, footprint: Footprint, copies: int, most_rows: int) -> None:
        """It is on the workers. `footprint.loaded_bytes`: of one of them."""
        most = max(footprint.at(most_rows), footprint.loaded_bytes)
        self._entries[key] = Entry(copies, footprint.loaded_bytes, most)

    def saw(self, pid: int, before_bytes: int) -> None:
        """What a worker occupied before it opened a model; the first time, it was empty."""
        self._empty.setdefault(pid, before_bytes)

    def widened(self, key: ModelKey, wide_bytes: int) -> None:
        if key in self._entries:
            self._entries[key] = replace(self._entries[key], wide_bytes=wide_bytes)

    def forget(self, key: ModelKey) -> None:
        self._entries.pop(key, None)

    def to_json(self) -> dict[str, Any]:
        """For the metrics: models as name, version, taken and promised bytes."""
        room = self._room()
        return {
            "limit_bytes": room.limit_bytes,
            "free_bytes": room.free_bytes,
            "reserved_bytes": self.reserved_bytes(),
            "models": [
                [*key, entry.taken_bytes, entry.promised_bytes]
                for key, entry in self._entries.items()
            ],
        }

    def _grown_bytes(self) -> int:
        """What the workers occupy beyond what they did without models."""
        sizes = self._workers_bytes()
        self._empty = {pid: size for pid, size in self._empty.items() if pid in sizes}
        return sum(max(sizes[pid] - empty, 0) for pid, empty in self._empty.items())

    def _refusal(self, key: ModelKey, needs: str, room: Room) -> LoadOutOfMemory:
        reserved = self.reserved_bytes()
        aside = f", {_mib(reserved)} of that set aside for larger batches" if reserved else ""
        held = sorted(self._entries.items(), key=lambda item: -item[1].promised_bytes)
        names = ", ".join(f"{name} {_mib(entry.promised_bytes)}" for name, entry in held[:5])
        more = f" and {len(held) - 5} more" if len(held) > 5 else ""
        loaded = f"; loaded: {names}{more}" if held else ""
        return LoadOutOfMemory(
            f"{key} {needs}; {_mib(room.free_bytes)} of {_mib(room.limit_bytes)} are free{aside}{loaded}. "
            "Give the server more memory, fewer --workers or smaller batches (--max-batch-size)"
        )


def _mib(size: int) -> str:
    return f"{-(-size // _MIB):,} MiB"
