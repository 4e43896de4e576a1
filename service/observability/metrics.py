"""Everything that is counted, in one place: models' cells and the server's own. `exposition` writes it as
Prometheus' text for `/metrics`; the statistics routes read the same cells.

Labels come from the catalog and the code, never from a request.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from service.observability.histogram import Histogram
from service.observability.meters import (
    Dump,
    ModelMeters,
    SilentMeters,
    add_pairs,
    dump_pairs,
)
from service.observability.process_info import ProcessInfo, read_process

if TYPE_CHECKING:
    from service.workers.base import ModelKey

__all__ = ["Metrics", "ModelMeters"]

_MOST_OLD_VERSIONS = 16
_RESTARTS = ("lost", "hung")


class Metrics:
    """By model key. `build`: labels of the info metric. `name`: which front end this is.

    The callables are set by whoever knows: how many connections are open, which processes there are.
    """

    def __init__(
        self, build: dict[str, str], is_measuring: bool = True, name: str = "frontend-0"
    ) -> None:
        self.build = build
        self.name = name
        self._new_meters = ModelMeters if is_measuring else SilentMeters
        self._models: dict[ModelKey, ModelMeters] = {}
        self.other_requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.other_failures: defaultdict[str, int] = defaultdict(int)
        # From zero on: the increase of a series that begins with the first restart would miss that one.
        self.worker_restarts: defaultdict[str, int] = defaultdict(int, dict.fromkeys(_RESTARTS, 0))
        self.frontend_restarts = self.worker_restarts.copy()
        self.repository_poll_errors = 0
        self.loop_lag = Histogram()
        self.loop_lag_max_s: Callable[[], float] = lambda: 0.0
        self.is_loop_stale: Callable[[], bool] = lambda: False
        self.connections: Callable[[], int] = lambda: 0
        self.records_dropped: Callable[[], dict[str, int]] = dict
        self.pids: Callable[[], dict[str, int]] = dict
        self.is_server_ready: Callable[[], bool] = lambda: False
        self.required: Callable[[], Iterable[str]] = tuple
        self.memory: Callable[[], Dump] = dict  # of the front end that owns the workers
        self.gather: Callable[[], Awaitable[list[Dump]]] | None = None
        self.frontends: list[Dump] = []

    def model(self, key: "ModelKey") -> ModelMeters:
        """The cells of a version; the same ones when it is loaded again, because counters only grow."""
        if key not in self._models:
            self._forget_old(key.name)
            self._models[key] = self._new_meters(*key)
        return self._models[key]

    def find(self, key: "ModelKey") -> ModelMeters | None:
        """As `model`, but makes none."""
        return self._models.get(key)

    def models(self) -> list[ModelMeters]:
        return list(self._models.values())

    def other(self, endpoint: str, code: int, reason: str = "") -> None:
        """A request that reached no model has its answer. `endpoint`: a route's template, never a path."""
        self.other_requests[endpoint, code] += 1
        if reason and code >= 400:
            self.other_failures[reason] += 1

    def processes(self) -> Iterator[tuple[str, ProcessInfo]]:
        """Those of this server that are there to be asked."""
        for name, pid in self.pids().items():
            if (info := read_process(pid)) is not None:
                yield name, info

    async def total(self) -> "Metrics":
        """Over all front ends; with a single one these very cells."""
        if self.gather is None:
            return self
        return merged(self, await self.gather())

    def dump(self) -> Dump:
        """For another process; `merged` reads it."""
        return {
            "name": self.name,
            "models": [[*key, meters.dump()] for key, meters in self._models.items()],
            "other_requests": dump_pairs(self.other_requests),
            "other_failures": dict(self.other_failures),
            "worker_restarts": dict(self.worker_restarts),
            "frontend_restarts": dict(self.frontend_restarts),
            "records_dropped": self.records_dropped(),
            "repository_poll_errors": self.repository_poll_errors,
            **self.gauges(),
        }

    def gauges(self) -> Dump:
        """What is shown per front end."""
        return {
            "name": self.name,
            "is_alive": True,
            "loop_lag": self.loop_lag.dump(),
            "loop_lag_max_s": self.loop_lag_max_s(),
            "connections": self.connections(),
            "is_ready": bool(self.is_server_ready()),
            "required": sorted(self.required()),
            "pids": self.pids(),
            "memory": self.memory(),
        }

    def _forget_old(self, name: str) -> None:
        """A model that is published again and again must not leave series without end."""
        old = [key for key, meters in self._models.items() if key.name == name]
        unused = [key for key in old if not self._models[key].is_ready()]
        if len(old) >= _MOST_OLD_VERSIONS and unused:
            del self._models[min(unused)]


def merged(own: Metrics, dumps: Sequence[Dump]) -> Metrics:
    """One sum. A dump with `is_alive` false is the last word of a front end that has ended: its counts
    stay, because counters never fall; its gauges are over."""
    from service.workers.base import ModelKey

    total = Metrics(own.build, name="all")
    living: defaultdict[ModelKey, list[Dump]] = defaultdict(list)
    dropped: defaultdict[str, int] = defaultdict(int)
    for dump in dumps:
        for name, version, cells in dump["models"]:
            key = ModelKey(name, version)
            total.model(key).add(cells)
            if dump["is_alive"]:
                living[key].append(cells)
        add_pairs(total.other_requests, dump["other_requests"])
        for name in ("other_failures", "worker_restarts", "frontend_restarts"):
            counts = getattr(total, name)
            for reason, count in dump[name].items():
                counts[reason] += count
        total.repository_poll_errors += dump["repository_poll_errors"]
        for sink, count in dump["records_dropped"].items():
            dropped[sink] += count
    for key, cells_of in living.items():
        total.model(key).show(cells_of)
    alive = [dump for dump in dumps if dump["is_alive"]]
    required = {name for dump in alive for name in dump["required"]}
    pids = {name: pid for dump in alive for name, pid in dump["pids"].items()}
    memory: Dump = next((dump["memory"] for dump in alive if dump["memory"]), {})
    total.memory = lambda: memory
    total.frontends = alive
    total.pids = lambda: pids
    total.records_dropped = lambda: dict(dropped)
    total.required = lambda: required
    total.is_server_ready = lambda: all(dump["is_ready"] for dump in alive)
    return total
