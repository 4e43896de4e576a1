"""Settles how one version is run here; what is settled has been opened and examined away from what serves.

In order: what the operator pins; what `slipway tune` found; what is remembered; and for the first load on a
machine, what is timed now, within bounds. The reference is examined before anything is timed and remains
when others fail, so that no candidate can take a version out of service, nor delay it without end.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, cast

from models.bundle import Bundle
from models.errors import BundleError, SlipwayError
from models.manifest import Manifest
from models.runtimes.hardware import fingerprint
from service.selection.cache import Question, SelectionCache
from service.selection.choice import Choice, variant_of
from service.selection.decision import decide, is_final
from service.selection.trial import Comparison, Trial
from service.selection.wishes import Wishes, wanted
from service.tuning.plan import TuningPlan, read_plan
from service.workers.base import LoadReport, WorkerPool

_log = logging.getLogger("slipway.selection")

_LEAST_TIME_S = 0.5  # with less, nothing can be opened
_STARTS_SHARE = 3  # versions of one start share so many times what one may take

Examine = Callable[[Bundle, Choice], Awaitable[LoadReport]]


class Compares(Protocol):
    """A pool that can time candidates."""

    async def compare(
        self, bundle: Bundle, base: Choice, rivals: list[Choice], time_s: float
    ) -> Comparison:
        """Raises BundleError when it cannot be done or ends the process that tries."""


class Settled(NamedTuple):
    """`fallback`: what to load when the choice, which nobody asked for by name, cannot be loaded. `plan`:
    what was tuned, where the choice comes from there."""

    choice: Choice
    fallback: Choice | None = None
    plan: TuningPlan | None = None


class Selector:
    """Belongs to the event loop. `threads`: how they are shared between workers, in words; what was timed
    under another plan is not remembered for this one."""

    def __init__(
        self,
        wishes: Wishes,
        pool: WorkerPool,
        cache: SelectionCache,
        *,
        is_on: bool = True,
        time_s: float = 10.0,
        threads: str = "",
        hardware: Callable[[], str] = fingerprint,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wishes = wishes
        self._cache = cache
        self._is_on = is_on
        self._time_s = time_s
        self._starts_time_s = _STARTS_SHARE * time_s
        self._threads = threads
        self._hardware = hardware
        self._clock = clock
        # A pool in this very process has nowhere else to examine a version; one of a test may not time.
        self._examine = cast("Examine | None", getattr(pool, "examine", None))
        self._compares = cast("Compares", pool) if hasattr(pool, "compare") else None
        self._one_at_a_time = asyncio.Lock()  # two that are timed at once disturb each other

    async def settle(self, bundle: Bundle, *, is_starting: bool = False) -> Settled:
        """`is_starting`: the server is not ready before this returns. Raises BundleError when the version
        cannot be opened as asked for or fails its exam; VariantMissing."""
        choices = wanted(bundle.manifest, self._wishes.of_model(bundle.name))
        base = choices[0]
        plan = await asyncio.to_thread(read_plan, bundle, self._hardware())
        if plan is not None and plan.choice.what in [choice.what for choice in choices]:
            tuned = plan.choice.because(f"tuned on {plan.created_at[:10]}" + _for(plan.objective))
            return await self._examined(bundle, Settled(tuned, base, plan))
        is_choosing = self._is_on and self._compares is not None
        if not is_choosing or len(choices) == 1 or bundle.manifest.runner != "batch":
            return await self._examined(bundle, Settled(base.because(self._why_first(choices))))
        question = await asyncio.to_thread(self._question, bundle, choices)
        known = await asyncio.to_thread(self._cache.get, question)
        if known is not None:
            found = await self._examined(bundle, Settled(known, base))
            if found.choice.what != known.what:
                await asyncio.to_thread(self._cache.forget, question)
            return found
        await self._examined(bundle, Settled(base))
        found = Settled(await self._select(bundle, choices, question, is_starting), base)
        # Alone as well: what it takes of the memory is told apart from the others'.
        return found if found.choice.what == base.what else await self._examined(bundle, found)

    async def _examined(self, bundle: Bundle, settled: Settled) -> Settled:
        """Or its fallback, examined; raises when there is none, or when it fails too."""
        choice, fallback, _ = settled
        if self._examine is None:
            return settled
        try:
            await self._examine(bundle, choice)
        except BundleError as error:
            if fallback is None or fallback.what == choice.what:
                raise
            after = fallback_from(choice, fallback, error)
            _log.warning("%s/%d: %s: %s", bundle.name, bundle.version, after.reason, error.message)
            await self._examine(bundle, after)
            return Settled(after)
        return settled

    # -- timing -----------------------------------------------------------------------------------

    async def _select(
        self, bundle: Bundle, choices: list[Choice], question: Question, is_starting: bool
    ) -> Choice:
        base, rivals = choices[0], _likeliest_first(bundle, choices[1:])
        async with self._one_at_a_time:
            time_s = min(self._time_s, self._starts_time_s) if is_starting else self._time_s
            if time_s < _LEAST_TIME_S:
                return base.because("the time for choosing at this start was used up by others")
            began = self._clock()
            comparison = await self._compared(bundle, base, rivals, began + time_s)
            if is_starting:
                self._starts_time_s -= self._clock() - began
        choice = decide(bundle.manifest, comparison)
        for trial in comparison.trials:
            if trial.error:
                name = f"{bundle.name}/{bundle.version}"
                _log.info("%s: %s is out: %s", name, trial.choice, trial.error)
        if is_final(comparison, choice, had_full_time=time_s == self._time_s):
            await asyncio.to_thread(self._cache.put, question, choice, comparison.to_json())
        return choice

    async def _compared(
        self, bundle: Bundle, base: Choice, rivals: list[Choice], deadline: float
    ) -> Comparison:
        """All at once; when that ends the process, in halves, until it is known which of them did it."""
        left_s = deadline - self._clock()
        if self._compares is None or left_s < _LEAST_TIME_S:
            return Comparison((Trial(base),), untried=len(rivals))
        try:
            return await self._compares.compare(bundle, base, rivals, left_s)
        except SlipwayError as error:
            _log.warning(
                "%s/%d: while it was timed: %s", bundle.name, bundle.version, error.message
            )
            if len(rivals) == 1:
                return Comparison((Trial(base), Trial.failed(rivals[0], error)))
        half = len(rivals) // 2
        parts = [
            await self._compared(bundle, base, part, deadline)
            for part in (rivals[:half], rivals[half:])
        ]
        return _merged(parts)

    def _question(self, bundle: Bundle, choices: list[Choice]) -> Question:
        plan = f"{self._threads}; {self._time_s:g} s"
        return Question(self._hardware(), identity(bundle.manifest), plan, choices)

    def _why_first(self, choices: list[Choice]) -> str:
        if len(choices) == 1:
            return "nothing else fulfils what is asked for here"
        return "as it was exported" if self._is_on else "as it was exported: selection is off"


def identity(manifest: Manifest) -> str:
    """The same for the same graphs under the same description, whenever they were published: a bare graph
    is imported anew at every start."""
    members = manifest.model_dump(mode="json", exclude={"created_at"})
    return hashlib.sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()


def fallback_from(choice: Choice, fallback: Choice, error: SlipwayError) -> Choice:
    return fallback.because(f"{choice} could not be loaded ({error.reason})")


def _for(objective: str) -> str:
    return f" for {objective}" if objective else ""


def _likeliest_first(bundle: Bundle, choices: list[Choice]) -> list[Choice]:
    """By what was measured when the variants were made, perhaps on another machine: should the time end
    early, the best are likely to have been tried."""

    def expected(choice: Choice) -> float:
        variant = variant_of(bundle.manifest, choice)
        return 0.0 if variant is None else max(variant.throughput.values(), default=0.0)

    return sorted(choices, key=expected, reverse=True)


def _merged(parts: list[Comparison]) -> Comparison:
    """Each part has timed the one to beat anew; gains are brought to the first part's terms."""
    first = next((part for part in parts if part.trials[0].best_ms), parts[0])
    base = first.trials[0]
    trials = [base]
    for part in parts:
        own = part.trials[0].best_ms
        for trial in part.trials[1:]:
            scaled = {
                name: ms * base.best_ms[name] / own[name]
                for name, ms in trial.best_ms.items()
                if name in own and name in base.best_ms
            }
            trials.append(Trial(trial.choice, scaled, trial.error, trial.kind))
    return Comparison(
        tuple(trials),
        sum(part.untried for part in parts),
        any(part.is_disturbed for part in parts),
    )
