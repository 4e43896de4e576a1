"""The stages in order: read → export → verify → compare → publish. All or nothing.

Everything happens in a folder of its own that is removed whatever becomes of it; the repository is
touched by `models.publish` alone, at the very end.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.bundle import Bundle
from models.errors import UsageError
from models.manifest import GOLDEN_FILE, MODEL_FILE, Batching, Gate, ManifestDraft, Provenance
from models.naming import is_name, require_name
from models.publish import publish as publish_bundle
from models.sizes import human_bytes
from training import export, verify
from training.card import render
from training.errors import GateFailed
from training.graph_file import graph_bytes
from training.importing.checkpoint import Checkpoint, open_checkpoint
from training.importing.kind import Difference, ImportKind, ImportOptions
from training.importing.kinds import kind_class, task_of
from training.provenance import git_commit, versions
from training.publish import tell, write_exam
from training.report import Reporter
from training.work import ExportPlan, Predict

RECIPE = "import-hf"
_LIBRARIES = ("transformers", "tokenizers", "sentence-transformers", "safetensors")
_SHOWN_CHARACTERS = 44


@dataclass(frozen=True)
class Request:
    """What the person asked for."""

    source: str
    repository: Path
    task: str = "auto"
    name: str | None = None
    description: str = ""
    max_batch_size: int = 0
    parity_atol: float | None = None
    options: ImportOptions = field(default_factory=ImportOptions)


def import_checkpoint(request: Request, report: Reporter) -> Bundle:
    """Publish the checkpoint. Raises a SlipwayError; then nothing was published."""
    if request.name is not None:
        require_name(request.name)
    if request.repository.exists() and not request.repository.is_dir():
        raise UsageError(f"{request.repository} is not a folder: choose another one")
    with tempfile.TemporaryDirectory(prefix="slipway-import-") as scratch:
        return _stages(request, Path(scratch), report)


def _stages(request: Request, staged: Path, report: Reporter) -> Bundle:
    report.stage("read", request.source)
    checkpoint = open_checkpoint(request.source)
    task = task_of(checkpoint) if request.task == "auto" else request.task
    kind = kind_class(task)(checkpoint, request.options)
    kind.read()
    facts = _facts(kind)
    report.table(("checkpoint", ""), facts.items())

    report.stage("export")
    plan, graph = kind.plan(), staged / MODEL_FILE
    export.export(plan, kind.sample_inputs(*export.example_size(plan)), graph)
    report.line(f"{MODEL_FILE}, {human_bytes(graph_bytes(graph))}")

    report.stage("verify", "torch against ONNX Runtime")
    onnx_side = kind.onnx_predict(graph)
    sides = (kind.torch_predict(plan), onnx_side)
    limit = request.parity_atol or kind.parity_atol
    parity = verify.verify_plan(plan, kind.sample_inputs, limit, sides, report, "--parity-atol")

    report.stage("compare", f"{kind.library} against the bundle, question by question")
    library = judge(kind, list(kind.differences(onnx_side)), report)

    gates: tuple[Gate, ...] = (parity, library)
    if (precision := kind.options.precision) != "fp32":
        report.stage("compress", f"weights in {precision}")
        gates += kind.compress(graph, onnx_side, report)
        onnx_side = kind.onnx_predict(graph)

    report.stage("publish")
    draft = _draft(request, kind, plan, gates, facts)
    return _publish(kind, draft, onnx_side, facts, staged, request.repository, report)


def judge(kind: ImportKind, differences: Sequence[Difference], report: Reporter) -> Gate:
    """Print the table; the gate is the worst of it. Raises GateFailed beyond the kind's limit."""
    report.table(
        ("question", kind.measure, "verdict"),
        (
            (
                _shown(row.question),
                f"{row.value:.2e}",
                "passed" if row.value <= kind.limit else f"FAILED {row.problem}".rstrip(),
            )
            for row in differences
        ),
    )
    assert differences, "a gate that asked nothing proves nothing"
    worst = max(row.value if not math.isnan(row.value) else math.inf for row in differences)
    if not worst <= kind.limit:
        raise GateFailed(
            f"library-parity: the bundle and {kind.library} differ by {worst:.2e} ({kind.measure}), "
            f"more than {kind.limit:g}; nothing was published"
        )
    return Gate(
        name="library-parity",
        limit=kind.limit,
        measured=worst,
        comparison="<=",
        passed=True,
        detail=f"{kind.measure}, against {kind.library} on {len(differences)} inputs",
    )


def _facts(kind: ImportKind) -> dict[str, str]:
    checkpoint = kind.checkpoint
    facts = {
        "source": checkpoint.source,
        "architecture": checkpoint.architecture or type(kind.module).__name__,
        "task": kind.task,
        "parameters": f"{kind.parameters():,}",
        "files": f"{len(checkpoint.files)}, {human_bytes(checkpoint.size_bytes)}",
        "licence": checkpoint.licence or "not named in its README.md",
    }
    return facts | kind.summary()


def _draft(
    request: Request,
    kind: ImportKind,
    plan: ExportPlan,
    gates: tuple[Gate, ...],
    facts: dict[str, str],
) -> ManifestDraft:
    checkpoint = kind.checkpoint
    return ManifestDraft(
        name=request.name or default_name(checkpoint),
        task=kind.task,
        description=request.description or f"{facts['architecture']}, from {checkpoint.source}.",
        runner=kind.runner,
        precision=kind.options.precision,
        tolerance=kind.tolerance,
        inputs=plan.inputs,
        outputs=plan.outputs,
        preprocessing=kind.preprocessing,
        postprocessing=kind.postprocessing,
        batching=Batching(max_batch_size=request.max_batch_size or kind.largest_batch),
        gates=gates,
        provenance=Provenance(
            recipe=RECIPE,
            config={
                "source": checkpoint.source,
                "architecture": facts["architecture"],
                "licence": checkpoint.licence,
                "parameters": kind.parameters(),
                "files": checkpoint.files,
            },
            seed=0,
            data_sha256=checkpoint.sha256(),
            git_commit=git_commit(),
            versions=versions(*_LIBRARIES),
        ),
    )


def default_name(checkpoint: Checkpoint) -> str:
    """The last part of the source, made of what a name may hold. Raises UsageError when nothing is left."""
    last = checkpoint.source.partition(" at ")[0].rstrip("/").rpartition("/")[2]
    name = "".join(letter if is_name(f"a{letter}") else "-" for letter in last).strip("-._")[:64]
    if not is_name(name):
        raise UsageError(f"{checkpoint.source} makes no name for a model: give one with --name")
    return name


def _publish(
    kind: ImportKind,
    draft: ManifestDraft,
    ask: Predict,
    facts: dict[str, str],
    staged: Path,
    repository: Path,
    report: Reporter,
) -> Bundle:
    inputs = kind.golden_inputs()
    write_exam(lambda asked: (inputs, asked(inputs)), draft, ask, staged / GOLDEN_FILE)
    kind.write_assets(staged)
    (staged / "card.md").write_text(render(draft, facts, ()), encoding="utf-8")
    bundle = publish_bundle(repository, draft, staged)
    tell(bundle, repository, report)
    return bundle


def _shown(question: str) -> str:
    text = " ".join(question.split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
