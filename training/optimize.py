"""Stage 5, optimize: try the quick variants, keep those that are worth it (`training.optimizing`).

What a training run tries costs seconds; `slipway optimize` searches longer, for any published version.
"""

from pathlib import Path
from typing import Any

from models.manifest import Evaluation, Variant
from training.config import GateConfig
from training.optimizing import defaults, verdict
from training.optimizing.budget import Budget
from training.optimizing.of_work import WorkSubject
from training.optimizing.search import search
from training.optimizing.static import QUICK
from training.report import Reporter
from training.work import ExportPlan, Work


def optimize(
    work: Work[Any],
    plan: ExportPlan,
    staged: Path,
    reference: tuple[Evaluation, ...],
    report: Reporter,
) -> tuple[Variant, ...]:
    """Write the variants worth keeping under `staged`/variants and return their records."""
    subject = WorkSubject(work, staged, plan.inputs, plan.outputs)
    targets = defaults.quick(subject)
    if not targets:
        report.line("no variants are tried for this kind of model")
        return ()
    found = search(subject, targets, budget_of(work.config.gates), QUICK, report, reference)
    verdict.show(found.reference, found.verdicts, report)
    return found.kept


def budget_of(gates: GateConfig) -> Budget:
    """The accuracy budget that a run's configuration states."""
    return Budget(
        points=gates.accuracy_budget,
        relative=gates.accuracy_budget_relative,
        cosine=gates.cosine_budget,
    )
