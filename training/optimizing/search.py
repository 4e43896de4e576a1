"""All of it, target by target: make the file, judge it, measure it, keep it or remove it.

A variant is kept when nothing is held against its figures (`budget`, and what the kind of work says), its
golden exam means something, and it is smaller or faster than the reference. Every target appears in the table
with the reason for its fate. Figures are this machine's: each record says which one that was.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import BundleError, RunError
from models.manifest import Evaluation, Variant
from training.errors import DataError, ExportFailed
from training.graph_file import remove_graph
from training.optimizing import dynamic, static, timing
from training.optimizing.budget import Budget
from training.optimizing.judging import Known, judge, know
from training.optimizing.sessions import REFERENCE
from training.optimizing.static import Effort
from training.optimizing.subject import Subject
from training.optimizing.targets import Target
from training.optimizing.telling import Telling, telling
from training.optimizing.timing import Speed
from training.optimizing.verdict import Reference, Verdict
from training.quantize import quantize
from training.report import Reporter

_FASTER = 0.95  # less gain than this is within the noise of a shared machine
_SMALLER = 0.95  # less is names and notes, not weights
_WORTH_A_COPY = 0.9  # of the time, for another file of the reference's size

# Files that are searched for, until the budget holds; others are written once.
_SEARCHED = {"int8-static": static.make, "int8-dynamic": dynamic.make}


@dataclass(frozen=True)
class Found:
    """What a search ended with; `reference` is the row that all others are compared with."""

    reference: Reference
    verdicts: tuple[Verdict, ...]

    @property
    def kept(self) -> tuple[Variant, ...]:
        return tuple(v.variant for v in self.verdicts if v.is_kept and v.variant is not None)


def search(
    subject: Subject,
    targets: Sequence[Target],
    budget: Budget,
    effort: Effort,
    report: Reporter,
    evaluation: tuple[Evaluation, ...] = (),
) -> Found:
    """Files of what is kept stay below `subject.folder`/variants, those of all others are gone.

    `evaluation`: the reference's, where it is known. Raises BundleError or RunError where the reference
    itself cannot be run.
    """
    with telling(report, len(targets)) as tell:
        known = know(subject, evaluation)
        [speed] = timing.measure(subject, [REFERENCE], effort.patience)
        verdicts: list[Verdict] = []
        for target in targets:
            tell.doing(target.name)
            sharing = [one for one in targets if one.form == target.form and one.compute == "fp32"]
            trial = _Trial(subject, target, known, budget, effort, tell, sharing)
            verdicts.append(trial.run(verdicts))
            tell.done_one()
    _settle_files(subject, verdicts)
    row = Reference(known.size_bytes, speed, known.evaluation)
    return Found(row, tuple(verdicts))


def _settle_files(subject: Subject, verdicts: Sequence[Verdict]) -> None:
    """A file may serve several targets: it goes when none of them is kept."""
    kept = {verdict.target.file for verdict in verdicts if verdict.is_kept}
    for file in {verdict.target.file for verdict in verdicts if verdict.target.file}:
        if file in kept:
            subject.write_exam(subject.folder / file)
        else:
            remove_graph(subject.folder / file)


class _Trial:
    """One target. `sharing`: those that its file is for."""

    def __init__(
        self,
        subject: Subject,
        target: Target,
        known: Known,
        budget: Budget,
        effort: Effort,
        tell: Telling,
        sharing: Sequence[Target],
    ) -> None:
        self._subject, self._target, self._known = subject, target, known
        self._budget, self._effort, self._tell = budget, effort, tell
        self._sharing = sharing or (target,)

    def run(self, earlier: Sequence[Verdict]) -> Verdict:
        """`earlier`: verdicts so far; a file that one of them measured need not be made again."""
        target = self._target
        try:
            detail = self._make(earlier)
            judged = judge(self._subject, target, self._known, self._budget)
            self._tell.doing(f"{target.name}: milliseconds")
            # Rows that depend on each other are served alone: a batch has no speed of its own.
            batches = None if judged.record.is_row_independent else (1,)
            patience = self._effort.patience
            base, speed = timing.measure(self._subject, [REFERENCE, target], patience, batches)
        except (ExportFailed, DataError, BundleError, RunError) as error:
            return Verdict(target, error.message)
        variant = judged.record.model_copy(
            update={"latency_ms": speed.latency_ms, "throughput": speed.throughput}
        )
        reason = judged.objection or self._useless(variant, speed, base)
        return Verdict(target, reason, variant, judged.cosine, detail)

    def _make(self, earlier: Sequence[Verdict]) -> str:
        """The file, where one is needed; says how it came about."""
        target, subject = self._target, self._subject
        if target.form is None:
            return ""
        for verdict in earlier:
            if verdict.target.form == target.form and verdict.variant is not None:
                return verdict.detail
        make = _SEARCHED.get(target.form)
        if make is not None:
            return str(make(subject, target, self._effort, self._objection, self._tell.doing))
        self._tell.doing(f"{target.name}: writing")
        quantize(target.form, subject.graph, subject.folder / str(target.file))
        return ""

    def _objection(self) -> str:
        """Of the first target that has one: runtimes round in different places. What one of them cannot run
        at all is told when its turn comes."""
        for target in self._sharing:
            try:
                objection = judge(self._subject, target, self._known, self._budget).objection
            except (BundleError, RunError):
                if target is self._target:
                    raise
                continue
            if objection:
                return objection
        return ""

    def _useless(self, variant: Variant, speed: Speed, base: Speed) -> str:
        """Why nobody would want it; empty: somebody would."""
        if variant.file and variant.size_bytes < _SMALLER * self._known.size_bytes:
            return ""
        most = _WORTH_A_COPY if variant.file else _FASTER
        if _ratio(speed.least_ms, base.least_ms) < most:
            return ""
        return "neither smaller nor faster" if variant.file else "not faster"


def _ratio(left: dict[int, float], right: dict[int, float]) -> float:
    """Geometric mean over batch sizes; 1 where nothing was measured."""
    ratios = [left[size] / right[size] for size in left if right.get(size)]
    return statistics.geometric_mean(ratios) if ratios else 1.0
