"""One trial: a server with this setting, every load in turn, its memory, and what became of it."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

from models.bundle import Bundle
from models.errors import SlipwayError
from service.ask.call import RemoteRefused
from service.bench.answers import WholeReader
from service.bench.figures import Figures, figures
from service.bench.loops import Timing, Work, closed_loop
from service.tuning.outcome import Outcome
from service.tuning.plan import MeasuredLoad, TuningPlan
from service.tuning.questions import Questions
from service.tuning.server import TrialFailed, TrialServer, serves, trial_server
from service.tuning.space import Setting

_FIRST_WARM_S = 0.6  # first requests allocate memory, and some runtimes compile for each new shape
_WARM_S = 0.2


@dataclass(frozen=True)
class Trial:
    """Measures settings of one version. `template`: a plan whose setting is replaced by the tried one.
    `concurrency` ascends."""

    bundle: Bundle
    questions: Questions
    concurrency: Sequence[int]
    template: TuningPlan
    provider: str = "cpu"

    def __call__(self, setting: Setting, seconds: float) -> Outcome:
        """`seconds` at each load. A setting that cannot be served is an outcome that says why."""
        plan = planned(self.template, setting)
        try:
            with trial_server(self.bundle, plan, self.provider) as server:
                require_choice(server, self.bundle, plan)
                loads = uvloop.run(self._loads(server, seconds))
        except (OSError, SlipwayError) as error:
            why = error.message if isinstance(error, SlipwayError) else str(error)
            return Outcome(setting, seconds, failure=why)
        return Outcome(setting, seconds, loads)

    async def _loads(self, server: TrialServer, seconds: float) -> tuple[MeasuredLoad, ...]:
        stop = asyncio.Event()
        requests = self.questions.messages(server.target)
        work = Work(server.target, requests, lambda _: WholeReader())
        loads: list[MeasuredLoad] = []
        for count in self.concurrency:
            timing = Timing(seconds, _WARM_S if loads else _FIRST_WARM_S)
            measured = await closed_loop(work, count, timing, stop, lambda _: None)
            memory_bytes = server.memory_bytes()
            loads.append(measured_load(count, figures(measured, is_open=False), memory_bytes))
        return tuple(loads)


def planned(template: TuningPlan, setting: Setting) -> TuningPlan:
    """The template with this setting."""
    changes = {
        "choice": setting.choice,
        "workers": setting.shape.workers,
        "threads": setting.shape.threads,
        "max_batch_size": setting.max_batch_size,
        "max_queue_delay_microseconds": setting.max_queue_delay_microseconds,
        "length_buckets": setting.length_buckets,
    }
    return template.model_copy(update=changes)


def measured_load(concurrency: int, found: Figures, memory_bytes: int) -> MeasuredLoad:
    errors = sum(found.errors.values())
    whole = found.whole_answer
    return MeasuredLoad(
        concurrency=concurrency,
        requests_per_s=round(found.requests_per_s, 3),
        p50_ms=_known(whole.p50_ms),
        p95_ms=_known(whole.p95_ms),
        p99_ms=_known(whole.p99_ms),
        error_share=errors / max(1, errors + found.requests),
        memory_bytes=memory_bytes,
    )


def require_choice(server: TrialServer, bundle: Bundle, plan: TuningPlan) -> None:
    """Figures of another choice than the one in question would be worse than none. Raises TrialFailed."""
    try:
        found = serves(server, bundle)
    except RemoteRefused as error:
        raise TrialFailed(error.message) from error
    choice = plan.choice
    wanted = (choice.runtime, choice.precision)
    if found != wanted:
        raise TrialFailed(f"the server chose {' '.join(found)} instead of {' '.join(wanted)}")


def _known(ms: float) -> float | None:
    return None if math.isnan(ms) else round(ms, 3)
