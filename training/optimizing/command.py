"""`slipway optimize`: a published version in, the next version out; the stages in order.

    read → prepare (its data again, or what is given) → optimize → publish

A version is never changed. Everything happens in a folder of its own that is removed whatever becomes of it;
the repository is touched by `models.publish` alone, at the very end, so that Ctrl-C leaves nothing behind.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.bundle import Bundle
from models.catalog import find_bundle
from models.errors import UsageError
from models.manifest import ManifestDraft, Variant
from models.publish import publish
from models.sizes import human_bytes
from training import recipes
from training.card import with_variants
from training.config import GateConfig, RunConfig
from training.errors import DataError
from training.graph_file import weights_file
from training.optimize import budget_of
from training.optimizing import defaults, targets, verdict
from training.optimizing.budget import Budget
from training.optimizing.given_data import read_given
from training.optimizing.of_bundle import BundleSubject
from training.optimizing.of_work import WorkSubject
from training.optimizing.rows import read_rows
from training.optimizing.search import Found, search
from training.optimizing.sessions import REFERENCE, opened
from training.optimizing.static import QUICK, THOROUGH
from training.optimizing.subject import Subject
from training.optimizing.targets import Target
from training.report import Reporter, shown
from training.train import seed_everything
from training.work import Work

_SAME = 1e-3  # figures of one graph, here and at training: processors round differently


@dataclass(frozen=True)
class Request:
    """What the person asked for; `targets` () tries everything that may do some good. Budgets of None are
    those that the model was trained with, or the defaults."""

    model: str
    repository: Path
    version: int | None = None
    targets: tuple[str, ...] = ()
    points: float | None = None
    relative: float | None = None
    cosine: float | None = None
    data: Path | None = None
    calibration: Path | None = None
    is_quick: bool = False


def optimize(request: Request, report: Reporter) -> Bundle | None:
    """The version that was published; None where nothing changed. Raises a SlipwayError; then nothing was."""
    wanted = _usable(request.targets)
    bundle = find_bundle(request.repository, request.model, request.version)
    report.stage("read", f"{bundle.name} version {bundle.version}, {bundle.manifest.task}")
    if not bundle.manifest.gates_passed:
        raise UsageError(
            f"{bundle.name}/{bundle.version} failed a gate: it is not worth optimizing"
        )
    with tempfile.TemporaryDirectory(prefix="slipway-optimize-") as scratch:
        staged = Path(scratch)
        _copy(bundle, staged)
        subject, budget = _prepared(request, bundle, staged, report)
        effort = QUICK if request.is_quick else THOROUGH
        if not wanted:
            wanted = (defaults.quick if request.is_quick else defaults.thorough)(subject)
        _require_judgeable(subject, wanted)
        if not wanted:
            report.line("nothing can be tried on a model of this kind here")
            return None
        _drop_files(bundle, wanted, staged)
        count = f"{len(wanted)} target{'s' if len(wanted) != 1 else ''}"
        report.stage("optimize", f"{count}; budget: {_in_words(budget)}")
        found = search(subject, wanted, budget, effort, report)
        _warn_of_another_reference(bundle, found, report)
        verdict.show(found.reference, found.verdicts, report)
        return _publish(request, bundle, found, staged, report)


def _usable(names: tuple[str, ...]) -> tuple[Target, ...]:
    """Targets that were asked for by name. Raises UsageError where one cannot be measured here: figures
    that nobody measured are not written down."""
    wanted = targets.named(names) if names else ()
    for target in wanted:
        if reason := defaults.why_not(target):
            raise UsageError(
                f"target {target.name} cannot be measured here: {reason}; run `slipway optimize` where it "
                "can, or leave the target out"
            )
    return wanted


def _copy(bundle: Bundle, staged: Path) -> None:
    """Every file, its checksum verified."""
    for file in bundle.manifest.files:
        target = staged / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bundle.read(file))


def _drop_files(bundle: Bundle, wanted: tuple[Target, ...], staged: Path) -> None:
    """What is made anew must not be found half old."""
    kept = {variant.file for variant in _carried(bundle, wanted)}
    for variant in bundle.manifest.variants:
        if variant.file and variant.file not in kept:
            for path in (staged / variant.file, weights_file(staged / variant.file)):
                path.unlink(missing_ok=True)
            (staged / str(variant.golden_file)).unlink(missing_ok=True)


def _carried(bundle: Bundle, wanted: tuple[Target, ...]) -> tuple[Variant, ...]:
    """Variants of the version before that this search does not replace.

    One whose file is written anew is not carried over: its figures were another file's.
    """
    rewritten = {target.file for target in wanted if target.file}
    asked = {(target.runtime, target.provider, target.precision) for target in wanted}
    return tuple(
        variant
        for variant in bundle.manifest.variants
        if (variant.runtime, variant.provider, variant.precision) not in asked
        and variant.file not in rewritten
    )


def _prepared(
    request: Request, bundle: Bundle, staged: Path, report: Reporter
) -> tuple[Subject, Budget]:
    origin = bundle.manifest.provenance
    known = {recipe.name for recipe in recipes.known()}
    if origin is not None and origin.recipe in known:
        work = _work(request, bundle, report)
        manifest = bundle.manifest
        subject = WorkSubject(work, staged, manifest.inputs, manifest.outputs, manifest.tolerance)
        with opened(subject, REFERENCE) as reference:
            work.calibrate(reference.predict)
        return subject, _budget(request, work.config.gates)
    report.stage("prepare", "imported: judged by what is given")
    rows = request.calibration and read_rows(request.calibration, bundle.manifest.inputs)
    given = read_given(bundle, request.data) if request.data else None
    imported = BundleSubject(bundle, staged, rows or None, given)
    if given is not None:
        judging = sum(len(next(iter(batch.values()))) for batch in given.judging)
        report.line(f"{given.name}: {judging:,} rows judge, others calibrate")
    else:
        report.line(imported.why_not_evaluated)
    return imported, _budget(request, GateConfig())


def _work(request: Request, bundle: Bundle, report: Reporter) -> Work[Any]:
    """The training run's work with its data read again. Raises DataError where they are others."""
    origin = bundle.manifest.provenance
    assert origin is not None
    if request.calibration is not None:
        raise UsageError(
            f"--calibration: {bundle.name} was trained by recipe {origin.recipe!r}, whose validation rows "
            "calibrate; give its data with --data where they are your own"
        )
    recipe = recipes.get(origin.recipe)
    config = _config(bundle, type(recipe.build_config()), origin.config)
    report.stage("prepare", f"the data of recipe {recipe.name}")
    seed_everything(config.seed)
    work = recipe.work_class()(config, request.data)
    work.prepare()
    report.table(("data", ""), work.data_summary().items())
    if work.data_sha256() != origin.data_sha256:
        remedy = (
            "these are others than --data was then"
            if request.data is not None
            else "if it was trained on data of yours, name them with --data"
        )
        raise DataError(
            f"{bundle.name}/{bundle.version} was judged on data with sha256 {origin.data_sha256[:12]}…, "
            f"and what was read has {work.data_sha256()[:12]}…: {remedy}"
        )
    return work


def _config(bundle: Bundle, kind: type[RunConfig], found: dict[str, object]) -> RunConfig:
    """Raises UsageError for what an earlier Slipway wrote and this one cannot read."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{bundle.name}/{bundle.version} was trained with settings that this recipe does not have any "
            f"more ({where}: {first['msg']}), so its test split cannot be made again: train it anew"
        ) from error


def _budget(request: Request, gates: GateConfig) -> Budget:
    given = {"points": request.points, "relative": request.relative, "cosine": request.cosine}
    changes = {name: value for name, value in given.items() if value is not None}
    return budget_of(gates).model_copy(update=changes)


def _in_words(budget: Budget) -> str:
    return (
        f"{budget.points:g} of a share, {budget.relative:.2%} of another metric, "
        f"cosine ≥ {budget.cosine:g}"
    )


def _require_judgeable(subject: Subject, wanted: tuple[Target, ...]) -> None:
    """Raises UsageError for files with other weights where nothing can be evaluated."""
    if not subject.why_not_evaluated:
        return
    for target in wanted:
        if target.form is not None and target.form not in subject.precisions():
            raise UsageError(f"target {target.name}: {subject.why_not_evaluated}")


def _warn_of_another_reference(bundle: Bundle, found: Found, report: Reporter) -> None:
    if not found.reference.evaluation or not bundle.manifest.evaluation:
        return
    now, then = found.reference.evaluation[0], bundle.manifest.evaluation[0]
    if now.metric == then.metric and abs(now.value - then.value) > _SAME * max(1, abs(then.value)):
        report.line(
            f"Note: the reference reaches {now.metric} {now.value:.4f} here, {then.value:.4f} at training; "
            "differences are to the figure from here."
        )


def _publish(
    request: Request, bundle: Bundle, found: Found, staged: Path, report: Reporter
) -> Bundle | None:
    tried = tuple(one.target for one in found.verdicts)
    variants = (*_carried(bundle, tried), *found.kept)
    if not found.kept:
        report.line(
            "no target is within the budget and worth it: the reference (fp32) is what is served"
        )
    if not found.kept and len(variants) == len(bundle.manifest.variants):
        report.line(f"nothing was published; version {bundle.version} stays as it is")
        return None
    report.stage("publish")
    fields = {name: getattr(bundle.manifest, name) for name in ManifestDraft.model_fields}
    draft = ManifestDraft(**fields | {"variants": variants})
    card = staged / "card.md"
    if card.is_file():
        card.write_text(with_variants(card.read_text(encoding="utf-8"), draft), encoding="utf-8")
    published = publish(request.repository, draft, staged)
    size = human_bytes(published.size_bytes)
    report.line(
        f"published {published.name} version {published.version} ({size}): {shown(published.path)}"
    )
    return published
