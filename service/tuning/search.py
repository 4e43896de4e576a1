"""What is tried next, until time is up: few long looks at good settings rather than many at all of them.

    start → every choice, briefly → the better half for twice as long, and so on (successive halving)
          → the best of them changed along one axis at a time, kept where that gains (coordinate descent);
            after that, once more along the choices that were close behind
          → the finalists once more, for longer and taking turns; these figures alone decide

The last step is what keeps luck from winning: the best of many short looks looks better than it is. Order
and ties follow the space's declared order, so that equal figures give equal results. The clock is given.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from service.selection.choice import Choice
from service.tuning.objective import Objective
from service.tuning.outcome import Outcome
from service.tuning.space import AXES, CHOICE, Setting, Space

_GAIN = 1.03  # less than this is within the noise of a short look
_RIVAL = 1.5  # a choice further behind than that is not made up for by threads and batches
_FINALISTS = 3
_FINAL_ROUNDS = 2
_FINAL_SHARE = 0.35  # of the time is kept for the finalists
_FINAL_LONGER = 2.0
_MOST_HALVINGS = 3
_FIRST_GUESS_S = 4.0  # starting and ending a server, until one was


class Measure(Protocol):
    def __call__(self, setting: Setting, seconds: float) -> Outcome:
        """One trial of `seconds` at every load. What cannot be served is an outcome with a failure.
        KeyboardInterrupt passes."""


@dataclass(frozen=True)
class Budget:
    """`time_s`: for everything. `look_s`: the shortest look at one load; `loads`: how many there are."""

    time_s: float
    look_s: float = 1.0
    loads: int = 1


@dataclass
class Found:
    """`looks`: all outcomes in the order of trials. `finals`: those that decide, one per finalist. `ran_out`:
    with more time more would have been tried."""

    looks: list[Outcome] = field(default_factory=list)
    finals: list[Outcome] = field(default_factory=list)
    was_interrupted: bool = False
    ran_out: bool = False

    @property
    def rows(self) -> list[Outcome]:
        """One outcome per setting: the final one, else its longest look, in the order of first trials."""
        best: dict[Setting, Outcome] = {}
        for outcome in [*self.looks, *self.finals]:
            before = best.get(outcome.setting)
            if before is None or outcome.seconds >= before.seconds:
                best[outcome.setting] = outcome
        return list(best.values())


OnTrial = Callable[[str, Setting, float], None]


class Search:
    """Belongs to one run. `on_trial` hears the stage, the setting and the share of the time used."""

    def __init__(
        self,
        space: Space,
        measure: Measure,
        objective: Objective,
        budget: Budget,
        on_trial: OnTrial | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._space, self._measure, self._objective = space, measure, objective
        self._budget, self._on_trial, self._clock = budget, on_trial, clock
        self._began = clock()
        self._overheads_s: list[float] = []
        self._found = Found()

    def run(self) -> Found:
        """Never raises for a setting that fails; Ctrl-C ends it with what was found until then."""
        try:
            self._explore()
            self._decide()
        except KeyboardInterrupt:
            self._found.was_interrupted = True
        return self._found

    def _explore(self) -> None:
        until_s = self._budget.time_s * (1 - _FINAL_SHARE)
        best = self._halve(until_s)
        if best is not None:
            self._descend(best, until_s)

    def _halve(self, until_s: float) -> Outcome | None:
        """Every choice briefly, the better half for longer. None when nothing could be measured."""
        entrants = [self._space.start, *self._space.neighbours(self._space.start, "choice")]
        seconds, ranked = self._budget.look_s, list[Outcome]()
        for number in range(_MOST_HALVINGS):
            # Every choice is looked at once before any time is kept for finalists.
            limit_s = until_s if number else self._budget.time_s
            ranked = self._ranked(self._try_all("choices", entrants, seconds, limit_s)) or ranked
            if len(ranked) <= 2:
                break
            entrants = [outcome.setting for outcome in ranked[: math.ceil(len(ranked) / 2)]]
            if len(entrants) == 1:
                break
            seconds *= 2
        return ranked[0] if ranked else None

    def _descend(self, best: Outcome, until_s: float) -> None:
        """One axis after the other from the best so far, until none of them gains."""
        seconds = 2 * self._budget.look_s
        rivals = self._rivals(best)
        tried = {best.setting}
        is_better = True
        while is_better:
            is_better = False
            for axis in (*AXES, CHOICE):
                near = [
                    one
                    for one in self._space.neighbours(best.setting, axis)
                    if one not in tried and (axis != CHOICE or one.choice in rivals)
                ]
                tried.update(near)
                for outcome in self._ranked(self._try_all(axis, near, seconds, until_s))[:1]:
                    if self._objective.gain(outcome, best) > _GAIN:
                        best, is_better = outcome, True

    def _rivals(self, best: Outcome) -> set[Choice]:
        """Choices that may be ahead with other threads and batches; all that can be served while none
        keeps the limit, since then waiting alone was compared."""
        everyone = self._ranked(self._found.rows)
        if not self._objective.is_reached(best):
            return {outcome.setting.choice for outcome in everyone}
        gain = self._objective.gain
        return {outcome.setting.choice for outcome in everyone if gain(best, outcome) < _RIVAL}

    def _decide(self) -> None:
        """The finalists and the start take turns; what counts is each one's median over whole rounds."""
        finalists = [each.setting for each in self._ranked(self._found.rows)[:_FINALISTS]]
        start = self._space.start
        # Second, so that it is there to compare with however short the time is.
        finalists = [*finalists[:1], start, *(one for one in finalists[1:] if one != start)]
        finalists = list(dict.fromkeys(finalists))
        seconds = _FINAL_LONGER * self._budget.look_s
        rounds: dict[Setting, list[Outcome]] = {setting: [] for setting in finalists}
        for number in range(_FINAL_ROUNDS):
            order = finalists if number % 2 == 0 else finalists[::-1]
            if number and self._left_s() < len(order) * self._cost_s(seconds):
                self._found.ran_out = True
                break
            for outcome in self._try_all("final", order, seconds, self._budget.time_s):
                rounds[outcome.setting].append(outcome)
        measured = [outcomes for outcomes in rounds.values() if outcomes]
        whole = min(map(len, measured), default=0)
        self._found.finals = [Outcome.merged(outcomes[:whole]) for outcomes in measured]

    def _left_s(self) -> float:
        return self._budget.time_s - (self._clock() - self._began)

    def _try_all(
        self, stage: str, settings: Iterable[Setting], seconds: float, until_s: float
    ) -> list[Outcome]:
        """As many as fit into the time until then."""
        outcomes = []
        for setting in settings:
            spent_s = self._clock() - self._began
            if self._found.looks and spent_s + self._cost_s(seconds) > until_s:
                self._found.ran_out = True
                break
            if self._on_trial is not None:
                self._on_trial(stage, setting, spent_s / self._budget.time_s)
            began = self._clock()
            outcome = self._measure(setting, seconds)
            loads_s = seconds * self._budget.loads
            self._overheads_s.append(max(0.0, self._clock() - began - loads_s))
            self._found.looks.append(outcome)
            outcomes.append(outcome)
        return outcomes

    def _cost_s(self, seconds: float) -> float:
        known = self._overheads_s
        overhead_s = sum(known) / len(known) if known else _FIRST_GUESS_S
        return overhead_s + seconds * self._budget.loads

    def _ranked(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The best first, without those that failed; the sort is stable."""
        good = [outcome for outcome in outcomes if not outcome.failure]
        return sorted(good, key=self._objective.score, reverse=True)
