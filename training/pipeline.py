"""From data to a published bundle. Read this first: the stages in order, and nothing else.

    prepare → train → evaluate (→ cross-validate) → export → verify → optimize → publish

Each stage is the module of its name; what is particular to a kind of work comes from its `Work`. A
stage that fails raises, and nothing is published. Everything before publication happens in memory and
in the run's own folder.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from models.bundle import Bundle
from models.catalog import default_repository
from models.errors import UsageError
from models.manifest import MODEL_FILE
from training import (
    cross_validate,
    evaluate,
    export,
    optimize,
    predict,
    publish,
    recipes,
    settings,
    train,
    verify,
)
from training.config import RunConfig
from training.distributed import world
from training.errors import DataError
from training.report import Reporter
from training.runs import RunFolder, SavedRun
from training.work import ExportPlan, Work

DEFAULT_RUNS = Path("runs")
# What may differ when a run is resumed; anything else would be another run.
_RESUMABLE = ("epochs", "max_steps", "device", "gates.", "batching.")


@dataclass(frozen=True)
class Request:
    """What the person asked for; `settings` are `key=value` texts."""

    recipe: str
    data: Path | None = None
    settings: tuple[str, ...] = ()
    repository: Path = field(default_factory=default_repository)
    runs: Path = DEFAULT_RUNS
    resume: bool = False


def run(request: Request, report: Reporter) -> Bundle:
    """Train, check and publish. Raises a SlipwayError; then nothing was published."""
    config, saved = configure(request)
    check_places(request, config)
    data = Path(saved.data) if saved is not None and saved.data else request.data

    report.stage("prepare", f"{config.recipe} → {config.name}")
    train.seed_everything(config.seed)
    work = recipes.get(config.recipe).work_class()(config, data)
    cross_validate.require_folds(work)
    _require_distributable(work)
    work.prepare()
    report.table(("data", ""), work.data_summary().items())

    folder = RunFolder(request.runs, config.name)
    with folder.owned():
        _begin(folder, work, data, saved)
        return _stages(work, folder, request, report)


def follow(request: Request) -> None:
    """What every process but the first does in a distributed run: read the same data, train on its part
    of them, and leave the rest to the first."""
    config, saved = configure(request)
    data = Path(saved.data) if saved is not None and saved.data else request.data
    train.seed_everything(config.seed)
    work = recipes.get(config.recipe).work_class()(config, data)
    _require_distributable(work)
    work.prepare()
    train.seed_everything(config.seed)
    folder = RunFolder(request.runs, config.name)
    silent = Reporter(Console(quiet=True))
    train.train(
        work, folder, silent, resume=request.resume, resume_command=resume_command(request, folder)
    )


def _require_distributable(work: Work[Any]) -> None:
    if world().size > 1 and not work.is_distributable:
        raise UsageError(
            f"recipe {work.config.recipe!r} trains in one process: start it without torchrun"
        )


def _stages(work: Work[Any], folder: RunFolder, request: Request, report: Reporter) -> Bundle:
    gates_config = work.config.gates
    graph = folder.staged / MODEL_FILE

    report.stage("train", f"checkpoints in {folder.path}")
    train.seed_everything(work.config.seed)  # again: a resumed run draws the same first weights
    go_on = resume_command(request, folder)
    trained = train.train(work, folder, report, resume=request.resume, resume_command=go_on)
    plan: ExportPlan = work.export_plan(trained.module)

    report.stage("evaluate")
    ask = work.torch_predict(plan) or predict.torch_predict(plan, trained.device)
    work.calibrate(ask)
    evaluation = work.evaluate(ask)
    gates = evaluate.judge(evaluation, gates_config, report)

    if work.config.folds:
        report.stage("cross-validate", f"{work.config.folds} folds of train and validation")
        evaluation += cross_validate.cross_validate(work, folder, report, go_on)

    report.stage("export")
    trained.module.cpu()
    for part in (plan, *plan.beside):
        target = folder.staged / part.file
        sample = part.example or work.sample_inputs
        export.export(part, sample(*export.example_size(part)), target)
        report.line(f"{part.file}, {target.stat().st_size:,} bytes")

    report.stage("verify", "torch against ONNX Runtime")
    torch_side = work.torch_predict(plan) or predict.torch_predict(plan, train.CPU)
    onnx_side = work.onnx_predict(graph) or predict.onnx_predict(graph)
    parity = verify.verify(work, plan, torch_side, onnx_side, report)
    more = verify.verify_more(work, torch_side, onnx_side, report)

    report.stage("optimize", "variants against fp32")
    variants = optimize.optimize(work, plan, folder.staged, evaluation, report)

    report.stage("publish")
    findings = publish.Findings(evaluation, (*gates, parity, *more), variants)
    return publish.publish(work, trained, findings, graph, request.repository, report)


def resume_command(request: Request, folder: RunFolder) -> str:
    """What to type after Ctrl-C; data and settings are remembered by the run's folder."""
    here = world()
    several = ["torchrun", "--nproc-per-node", str(here.local_size), "-m"] if here.size > 1 else []
    words = [*several, "slipway", "train", request.recipe, "--name", folder.path.name, "--resume"]
    for flag, given, default in (
        ("--repository", request.repository, default_repository()),
        ("--runs", request.runs, DEFAULT_RUNS),
    ):
        if given != default:
            words += [flag, str(given)]
    return shlex.join(words)


def configure(request: Request) -> tuple[RunConfig, SavedRun | None]:
    """The run's configuration; with `resume`, the saved run's with what may still be changed."""
    recipe = recipes.get(request.recipe)
    config = recipe.build_config(own_data=request.data is not None)
    if not request.resume:
        return settings.with_settings(config, request.settings), None
    wanted = settings.with_settings(config, request.settings)
    saved = RunFolder(request.runs, wanted.name).saved()
    if saved.config.get("recipe") != request.recipe:
        raise UsageError(
            f"run {wanted.name!r} follows recipe {saved.config.get('recipe')!r}, "
            f"not {request.recipe!r}: resume that recipe, or choose another --name"
        )
    if request.data is not None and str(request.data.resolve()) != saved.data:
        raise UsageError(
            f"run {wanted.name!r} reads {saved.data or 'the data of its recipe'}, "
            f"not {request.data}: start a new run for other data"
        )
    for setting in request.settings:
        key, _, value = setting.partition("=")
        if key not in ("name",) and not key.startswith(_RESUMABLE):
            raise UsageError(
                f"{key}={value} cannot be changed by --resume: only "
                f"{', '.join(_RESUMABLE)} may; start a new run for anything else"
            )
    return settings.with_settings(
        type(config).model_validate(saved.config), request.settings
    ), saved


def check_places(request: Request, config: RunConfig) -> None:
    """Fail before the work, not after it, where the result could not be kept."""
    train.resolve_device(config.device, config.precision)
    if request.data is not None and not request.data.exists():
        raise DataError(f"--data {request.data}: no such file or folder")
    for place in (request.repository, request.runs):
        if place.exists() and not place.is_dir():
            raise UsageError(f"{place} is not a folder: choose another one")


def _begin(folder: RunFolder, work: Work[Any], data: Path | None, saved: SavedRun | None) -> None:
    where = None if data is None else str(data.resolve())
    record = SavedRun(work.config.model_dump(mode="json"), where, work.data_sha256())
    if saved is None:
        folder.begin(record)
        return
    if saved.data_sha256 != record.data_sha256:
        raise DataError("the data have changed since the run began: start it without --resume")
    folder.record(record)
    folder.clear_staged()
