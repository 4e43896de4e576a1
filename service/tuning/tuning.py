"""One tuning from beginning to end: what may be set → search → report → the plan, written if it is good."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from models.bundle import Bundle
from models.cgroup import usable_cores
from models.errors import SlipwayError, UsageError
from models.runtimes.base import Provider
from models.runtimes.hardware import describe, fingerprint
from service.selection.choice import candidates
from service.tuning.objective import Objective
from service.tuning.outcome import Outcome
from service.tuning.plan import TuningPlan, bundle_sha256, write_plan
from service.tuning.questions import Questions, questions_of
from service.tuning.report import LEGEND, Row, failures, rows_of, summary, table, told
from service.tuning.search import Budget, Found, Measure, Search
from service.tuning.space import Setting, Space, space_of
from service.tuning.trial import Trial, planned

TOO_SHORT, UNREACHABLE, INTERRUPTED = 1, 3, 130

_LOOKS = 40  # of the shortest kind: what a search takes, about
_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.5, 10.0
_LEAST_GAIN = 1.02


class NothingServed(SlipwayError):
    """Not one setting could be served."""

    reason = "tune"


@dataclass(frozen=True)
class Order:
    """What was asked for at the command line."""

    objective: Objective = field(default_factory=Objective)
    concurrency: tuple[int, ...] = (1, 4, 16)
    time_s: float = 180.0
    inputs: tuple[str, ...] = ()
    runtime: str = "auto"
    provider: Provider = "cpu"

    @property
    def budget(self) -> Budget:
        loads = len(self.concurrency)
        look_s = self.time_s / (_LOOKS * loads)
        return Budget(self.time_s, min(max(look_s, _SHORTEST_LOOK_S), _LONGEST_LOOK_S), loads)


@dataclass(frozen=True)
class Tuning:
    """Ready to be run."""

    bundle: Bundle
    order: Order
    space: Space
    questions: Questions

    def intentions(self) -> list[str]:
        """What will be searched, for people."""
        space, order = self.space, self.order
        loads = ", ".join(map(str, order.concurrency))
        choices = ", ".join(f"{choice.runtime} {choice.precision}" for choice in space.choices)
        lines = [
            f"tuning {self.bundle.name}/{self.bundle.version} on {describe()}",
            f"  wanted: {order.objective}; asking {self.questions.about}; callers: {loads}",
            f"  choices: {choices}",
            f"  workers×threads: {', '.join(map(str, space.shapes))}; batch: "
            f"{', '.join(map(str, space.batch_sizes))}; delay ms: "
            f"{', '.join(f'{us / 1e3:g}' for us in space.delays_us)}",
        ]
        if len(space.buckets) > 1:
            lines.append(f"  lengths: as they come, or {' '.join(map(str, space.buckets[-1]))}")
        lines.append(
            f"  {space.size} settings, of which as many are tried as {order.time_s:g} s allow; "
            f"looks of {order.budget.look_s:.2g} s and more at each load"
        )
        return lines

    def trial(self) -> Trial:
        template = TuningPlan(
            model=self.bundle.name,
            version=self.bundle.version,
            bundle_sha256=bundle_sha256(self.bundle),
            hardware=fingerprint(),
            hardware_name=describe(),
            choice=self.space.start.choice,
            workers=1,
            threads=1,
            max_batch_size=1,
            max_queue_delay_microseconds=0,
            objective=str(self.order.objective),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        order = self.order
        return Trial(self.bundle, self.questions, order.concurrency, template, order.provider)


def prepare(bundle: Bundle, order: Order) -> Tuning:
    """Raises UsageError for a model that cannot be tuned, or an input that it does not take."""
    if bundle.manifest.runner != "batch":
        raise UsageError(
            f"{bundle.name} writes text and is not served in batches of requests; compare its settings "
            f"with `slipway bench URL {bundle.name} --generate` against servers started with --variant "
            "and --generation-slots"
        )
    questions = questions_of(bundle, order.inputs)
    slo = order.objective.slo
    choices = candidates(bundle.manifest, runtime=order.runtime, provider=order.provider)
    space = space_of(
        bundle.manifest,
        choices,
        usable_cores(),
        limit_ms=slo.limit_ms if slo is not None else None,
        lengths=questions.lengths,
    )
    return Tuning(bundle, order, space, questions)


@dataclass(frozen=True)
class Result:
    """`best`: what was chosen, or is the nearest to what was wanted. `file`: where the plan was written."""

    tuning: Tuning
    found: Found
    best: Outcome
    file: Path | None = None

    @property
    def objective(self) -> Objective:
        return self.tuning.order.objective

    @property
    def was_interrupted(self) -> bool:
        return self.found.was_interrupted

    @property
    def is_reached(self) -> bool:
        return self.objective.is_reached(self.best)

    @property
    def unseen(self) -> int:
        """Choices that there was no time to look at."""
        seen = {outcome.setting.choice for outcome in self.found.looks}
        return len(set(self.tuning.space.choices) - seen)

    @property
    def exit_code(self) -> int:
        if self.was_interrupted:
            return INTERRUPTED
        if self.unseen:
            return TOO_SHORT
        return 0 if self.is_reached else UNREACHABLE

    @property
    def rows(self) -> list[Row]:
        load = self.objective.best_load(self.best)
        chosen = (self.best.setting, load.concurrency) if load is not None else None
        return rows_of(self.found.rows, self.tuning.bundle.manifest, chosen)

    def text(self, *, everything: bool) -> str:
        rows, manifest = self.rows, self.tuning.bundle.manifest
        shown = told(rows, self.tuning.space.start, everything=everything)
        lines = [table(shown, manifest), LEGEND]
        if len(shown) < len(rows):
            lines.append(f"{len(rows) - len(shown)} more rows were measured; --all prints them")
        lines += failures(self.found.looks)
        return "\n".join([*lines, "", *self._verdict()])

    def document(self) -> dict[str, object]:
        """For programs."""
        rows = [
            {
                **asdict(row.setting),
                **row.load.model_dump(),
                "accuracy_loss": row.loss,
                "is_on_front": row.is_on_front,
                "is_chosen": row.is_chosen,
            }
            for row in self.rows
        ]
        return {
            "model": self.tuning.bundle.name,
            "version": self.tuning.bundle.version,
            "hardware": describe(),
            "objective": str(self.objective),
            "is_reached": self.is_reached,
            "was_interrupted": self.was_interrupted,
            "file": None if self.file is None else str(self.file),
            "rows": rows,
            "failures": failures(self.found.looks),
        }

    def _verdict(self) -> list[str]:
        best, objective = self.best, self.objective
        line = f"{best.setting.label}: {summary(best, objective)}"
        if self.was_interrupted:
            return [f"interrupted; the best so far, not written: {line}"]
        if self.unseen:
            count = len(self.tuning.space.choices)
            return [
                f"{self.unseen} of {count} choices were not looked at in "
                f"{self.tuning.order.time_s:g} s; give it more with --time-s",
                f"the best so far, not written: {line}",
            ]
        if not self.is_reached:
            return [f"{objective} cannot be kept here; the nearest, not written: {line}"]
        start = next(
            (o for o in self.found.rows if o.setting == self.tuning.space.start and o.loads), None
        )
        lines = [f"chosen: {line}"]
        if start is not None and best.setting != start.setting:
            lines.append(f"instead of: {start.setting.label}: {summary(start, objective)}")
        return [*lines, f"written to {self.file}"]


def run(tuning: Tuning, say: Callable[[str], None], measure: Measure | None = None) -> Result:
    """`say` gets a line per trial. `measure`: by default real servers under real load. Raises
    NothingServed, PlanNotWritten; KeyboardInterrupt before anything was measured."""
    trial, order = tuning.trial(), tuning.order
    look = measure or trial

    def measured(setting: Setting, seconds: float) -> Outcome:
        outcome = look(setting, seconds)
        say(f"         {summary(outcome, order.objective)}")
        return outcome

    def on_trial(stage: str, setting: Setting, share: float) -> None:
        say(f"[{share:4.0%}] {stage}: {setting.label}")

    found = Search(tuning.space, measured, order.objective, order.budget, on_trial).run()
    best = decided(found, order.objective, tuning.space.start)
    if best is None:
        if found.was_interrupted:
            raise KeyboardInterrupt
        why = "; ".join(failures(found.looks)) or "no answers"
        raise NothingServed(f"{tuning.bundle.name} could not be served in any way; {why}")
    result = Result(tuning, found, best)
    if result.exit_code:
        return result
    plan = planned(trial.template, best.setting).model_copy(update={"measured": best.loads})
    return replace(result, file=write_plan(tuning.bundle, plan))


def decided(found: Found, objective: Objective, start: Setting) -> Outcome | None:
    """The best of the finalists, or of all looks where there was no final. The start stays unless another
    is better by more than chance. None when nothing answered."""
    entrants = _good(found.finals) or _good(found.rows)
    if not entrants:
        return None
    best = max(entrants, key=objective.score)
    before = next((outcome for outcome in entrants if outcome.setting == start), None)
    if before is not None and objective.gain(best, before) <= _LEAST_GAIN:
        return before
    return best


def _good(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if not outcome.failure and outcome.loads]
