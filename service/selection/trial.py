"""Candidates timed against each other, alternately, in the process that may die of it.

Every session has the threads that a worker's will have. The best time of each counts: whatever else runs
on the machine only ever adds to it. A candidate that fails its exam, or to open or run, is out, with the
reason; the others go on.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from models.bundle import Bundle
from models.errors import SlipwayError
from models.runtimes.base import Session
from service.selection.choice import Choice
from service.selection.workload import Workload, workloads
from service.workers.width import has_memory_for, waited_for_a_core_s

SHORT_MS = 0.5  # of an item: what surrounds its run costs about as much, and little is left to gain
_SHARE_FOR_OPENING = 0.6
_SHARE_OF_A_RUN = 0.1  # of the time, for one run of the reference
_MOST_ROUNDS = 12
_ROUNDS_BEFORE_DROPPING = 2
_HOPELESS = 1.5  # times slower than the best: cannot win any more
_MOST_WAITING = 0.1  # of the time measured, spent waiting for a core

Open = Callable[[Bundle, Choice], Session]
Examine = Callable[[Session, Bundle, Choice], object]


@dataclass(frozen=True)
class Trial:
    """`best_ms`: workload → the best time for all of its rows. `error`: why it is out, for the log;
    `kind`: the same in a word, for everybody."""

    choice: Choice
    best_ms: dict[str, float] = field(default_factory=dict)
    error: str = ""
    kind: str = ""

    @classmethod
    def failed(cls, choice: Choice, error: Exception) -> "Trial":
        if isinstance(error, SlipwayError):
            return cls(choice, error=error.message, kind=error.reason)
        return cls(choice, error=repr(error)[:300], kind="error")

    def gain_over(self, base: "Trial") -> float:
        """How many times faster, as the geometric mean over the workloads; 0.0 for one that is out."""
        ratios = self.ratios(base)
        return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else 0.0

    def ratios(self, base: "Trial") -> list[float]:
        """How many times faster, by workload."""
        if self.error:
            return []
        return [base.best_ms[name] / ms for name, ms in self.best_ms.items()]


@dataclass(frozen=True)
class Comparison:
    """`trials`: the one to beat first, then those that were tried. `untried`: no time was left for so
    many. `is_disturbed`: other work on the machine kept the runs waiting."""

    trials: tuple[Trial, ...]
    untried: int = 0
    is_disturbed: bool = False

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> "Comparison":
        trials = tuple(
            Trial(**{**trial, "choice": Choice.from_json(trial["choice"])})
            for trial in members["trials"]
        )
        return cls(trials, members["untried"], members["is_disturbed"])


class _Entrant:
    """One candidate's session while it is timed."""

    def __init__(self, choice: Choice, session: Session) -> None:
        self.choice, self.session = choice, session
        self.best_s: dict[str, float] = {}

    def run(self, work: Workload, clock: Callable[[], float]) -> float:
        """Seconds for all rows; one whose rows depend on each other takes them one by one."""
        is_single = self.choice.max_batch_size == 1 and work.rows > 1
        began = clock()
        self.session.run(work.one if is_single else work.inputs)
        return (clock() - began) * (work.rows if is_single else 1)

    def timed(self, work: Workload, clock: Callable[[], float]) -> None:
        took_s = self.run(work, clock)
        self.best_s[work.name] = min(took_s, self.best_s.get(work.name, math.inf))

    def item_s(self, work: Workload) -> float:
        return self.best_s[work.name] / work.rows

    def trial(self) -> Trial:
        return Trial(self.choice, {name: 1e3 * best_s for name, best_s in self.best_s.items()})


class Comparing:
    """One comparison. `open_` and `examine` raise SlipwayErrors; `waited_s` is how long this process's
    threads have waited for a core so far."""

    def __init__(
        self,
        open_: Open,
        examine: Examine,
        *,
        time_s: float,
        clock: Callable[[], float] = time.perf_counter,
        waited_s: Callable[[], float] = waited_for_a_core_s,
    ) -> None:
        self._open, self._examine = open_, examine
        self._time_s, self._clock, self._waited_s = time_s, clock, waited_s
        self._began = clock()
        self._entrants: list[_Entrant] = []

    def compare(self, bundle: Bundle, base: Choice, rivals: Sequence[Choice]) -> Comparison:
        """`base` was examined before. Raises what opening and running that one raises."""
        try:
            return self._compare(bundle, base, rivals)
        finally:
            for entrant in self._entrants:
                entrant.session.close()

    def _compare(self, bundle: Bundle, base: Choice, rivals: Sequence[Choice]) -> Comparison:
        first = _Entrant(base, self._open(bundle, base))
        self._entrants.append(first)
        works = self._affordable(first, workloads(bundle))
        if max((1e3 * first.item_s(work) for work in works), default=0.0) < SHORT_MS:
            return Comparison((first.trial(),))
        failed: list[Trial] = []
        untried = 0
        for choice in rivals:
            if self._clock() - self._began > _SHARE_FOR_OPENING * self._time_s:
                untried += 1
            elif (trial := self._admit(bundle, choice, works)) is not None:
                failed.append(trial)
        began, waited_s = self._clock(), self._waited_s()
        if len(self._entrants) > 1:
            self._time(works)
        waited_s = self._waited_s() - waited_s
        is_disturbed = waited_s > _MOST_WAITING * (self._clock() - began)
        timed = (entrant.trial() for entrant in self._entrants)
        return Comparison((*timed, *failed), untried, is_disturbed)

    def _affordable(self, first: _Entrant, works: list[Workload]) -> list[Workload]:
        """Those that the one to beat runs in a fair part of the time; the first in any case."""
        kept: list[Workload] = []
        for work in works:
            if kept and self._foretold_s(first, kept[-1], work) > _SHARE_OF_A_RUN * self._time_s:
                break
            first.run(work, self._clock)  # the first run also allocates
            first.timed(work, self._clock)
            kept.append(work)
        return kept

    def _foretold_s(self, first: _Entrant, last: Workload, work: Workload) -> float:
        return first.best_s[last.name] * _size(work) / _size(last)

    def _admit(self, bundle: Bundle, choice: Choice, works: list[Workload]) -> Trial | None:
        """Open, examine and warm up; returns why it is out, or nothing."""
        if not has_memory_for(bundle, choice.file):
            return Trial(
                choice, error="a session more would take too much of what is free", kind="oom"
            )
        session: Session | None = None
        try:
            session = self._open(bundle, choice)
            self._examine(session, bundle, choice)
            entrant = _Entrant(choice, session)
            for work in works:
                entrant.run(work, self._clock)
        except Exception as error:  # whatever it was: this candidate is out, and the log says why
            if session is not None:
                session.close()
            return Trial.failed(choice, error)
        self._entrants.append(entrant)
        return None

    def _time(self, works: list[Workload]) -> None:
        """In turns, each round beginning with another, until the time is over."""
        running = list(self._entrants)
        for round_ in range(_MOST_ROUNDS):
            turn = round_ % len(running)
            for entrant in (*running[turn:], *running[:turn]):
                for work in works:
                    entrant.timed(work, self._clock)
            if self._clock() - self._began > self._time_s:
                return
            if round_ + 1 >= _ROUNDS_BEFORE_DROPPING:
                running = _hopeful(running)
                if len(running) == 1:
                    return


def _hopeful(entrants: list[_Entrant]) -> list[_Entrant]:
    gains = {id(one): one.trial().gain_over(entrants[0].trial()) for one in entrants}
    best = max(gains.values())
    return [one for one in entrants if gains[id(one)] * _HOPELESS >= best]


def _size(work: Workload) -> int:
    return max(array.size for array in work.inputs.values())
