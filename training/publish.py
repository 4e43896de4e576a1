"""Stage 6, publish: golden exam, assets, plots and card join the graph; then the bundle goes out whole.

Atomicity and version numbers are `models.publish`'s business. What is written here lies in the run's
own folder until then, where no reader looks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.golden import Golden
from models.manifest import GOLDEN_FILE, Evaluation, Gate, ManifestDraft, Variant
from models.publish import publish as publish_bundle
from models.sizes import human_bytes
from training import plots
from training.card import render
from training.predict import onnx_predict
from training.provenance import provenance
from training.report import Reporter, shown
from training.train import Trained
from training.work import Arrays, Predict, Work

_HOW_TO_ASK = {
    "image-classification": "some.png",
    "object-detection": "some.png",
    "semantic-segmentation": "some.png",
    "image-embedding": "some.png",
    "visual-anomaly-detection": "some.png",
    "text-classification": '"some text"',
    "token-classification": '"some text"',
    "sentence-embedding": '"some text"',
    "question-answering": """'{"question": "…", "context": "…"}'""",
    "text-similarity": """'{"text": "…", "text_pair": "…"}'""",
    "text-generation": '"some text"',
    "text-to-text": '"some text"',
    "image-generation": "LABEL",
    "image-reconstruction": "some.png",
}


@dataclass(frozen=True)
class Findings:
    """What the stages before found out, for the manifest."""

    evaluation: tuple[Evaluation, ...]
    gates: tuple[Gate, ...]
    variants: tuple[Variant, ...]


def publish(
    work: Work[Any],
    trained: Trained,
    findings: Findings,
    graph: Path,
    repository: Path,
    report: Reporter,
) -> Bundle:
    """Complete the folder that holds `graph` and publish it. Raises PublishError."""
    staged = graph.parent
    ask = work.onnx_predict(graph) or onnx_predict(graph)
    draft = _draft(work, trained, findings)
    write_golden(work, draft, ask, staged / GOLDEN_FILE)
    work.write_assets(staged)
    pictures = _draw(work, trained, ask, staged)
    card = render(draft, work.data_summary(), pictures, work.tables(ask))
    (staged / "card.md").write_text(card, encoding="utf-8")
    bundle = publish_bundle(repository, draft, staged)
    tell(bundle, repository, report)
    return bundle


def write_golden(work: Work[Any], draft: ManifestDraft, ask: Predict, target: Path) -> None:
    """Write the exam and sit it once: an exam its own model fails must never be published."""
    write_exam(work.golden, draft, ask, target)


def write_exam(
    golden: Callable[[Predict], tuple[Arrays, Arrays]],
    draft: ManifestDraft,
    ask: Predict,
    target: Path,
) -> None:
    """As `write_golden`; `golden` asks and gives the questions with the answers."""
    Golden(*golden(ask)).save(target)
    again = Golden.from_bytes(target.read_bytes())
    again.compare(golden(ask)[1], draft.tolerance)


def _draft(work: Work[Any], trained: Trained, findings: Findings) -> ManifestDraft:
    return work.draft(trained.module).model_copy(
        update={
            "evaluation": findings.evaluation,
            "gates": findings.gates,
            "variants": findings.variants,
            "provenance": provenance(work.config, work.data_sha256(), trained.duration_s),
        }
    )


def _draw(work: Work[Any], trained: Trained, ask: Predict, staged: Path) -> Sequence[str]:
    folder = staged / "plots"
    folder.mkdir()
    plots.loss_curve(folder / "loss.png", trained.history)
    work.plots(folder, ask)
    return sorted(f"plots/{picture.name}" for picture in folder.iterdir())


def tell(bundle: Bundle, repository: Path, report: Reporter) -> None:
    """What was published, and how to ask it."""
    size = human_bytes(bundle.size_bytes)
    report.line(f"published {bundle.name} version {bundle.version} ({size}): {shown(bundle.path)}")
    at = "" if shown(repository) == "models/repository" else f" --repository {shown(repository)}"
    question = _HOW_TO_ASK.get(bundle.manifest.task, "INPUT")
    report.line(f"ask it:   slipway predict {bundle.name} {question}{at}")
    report.line(f"serve it: slipway serve{at}")
