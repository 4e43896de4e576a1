"""Models with variants, made as `slipway optimize` makes them, and kept: making them takes minutes.

Each is judged on rows of its own that nothing was fitted to, through the runtime that serves it, within the
usual budget; what is over it is dropped here as it would be there. Kept per machine, because speed decides
what is worth keeping.
"""

import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from models.bundle import Bundle
from models.golden import Golden
from models.manifest import GOLDEN_FILE, MODEL_FILE, ManifestDraft, Variant
from models.publish import publish
from models.runtimes.hardware import fingerprint

_FORMAT = 3  # raised when what is made here changes
_GOLDEN_ROWS = 4
_RECORDS, _TABLE = "variants.json", "table.txt"
TARGETS = (
    "openvino:fp32",
    "openvino:bf16",
    "onnxruntime:int8-static",
    "openvino:int8-static",
    "openvino:int8-static-bf16",
)

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """`graph`: makes the ONNX file. `calibrating`, `judging`: batches of rows; `labels` int64 of the latter,
    None where answers are compared by their direction. `asked`: rows of `judging` as callers send them.
    `size`: how many rows, part of the name under which it is kept. `more`: targets beside the usual."""

    draft: ManifestDraft
    graph: Callable[[], bytes]
    calibrating: Sequence[Arrays]
    judging: Sequence[Arrays]
    asked: Sequence[Arrays]
    labels: np.ndarray | None
    size: str
    more: tuple[str, ...] = ()


def publish_optimized(recipe: Recipe, repository: Path, cache: Path, scratch: Path) -> str:
    """Made first if the cache lacks it. Returns the table of what was tried."""
    draft = recipe.draft
    kept = cache / f"optimized-{draft.name}-{recipe.size}-{_FORMAT}-{fingerprint()}"
    if not (kept / _RECORDS).is_file():
        shutil.rmtree(scratch, ignore_errors=True)
        _make(recipe, scratch)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(scratch, kept)
    files = scratch.with_name(f"{scratch.name}-files")
    shutil.copytree(kept, files, ignore=shutil.ignore_patterns(_RECORDS, _TABLE))
    records = json.loads((kept / _RECORDS).read_text())
    variants = tuple(Variant.model_validate(record) for record in records)
    publish(repository, draft.model_copy(update={"variants": variants}), files)
    return (kept / _TABLE).read_text()


def _make(recipe: Recipe, folder: Path) -> None:
    from training.optimizing.budget import Budget
    from training.optimizing.calibration import MINMAX
    from training.optimizing.search import search
    from training.optimizing.static import Effort
    from training.optimizing.timing import Patience
    from training.optimizing.verdict import show
    from training.report import Reporter

    subject = subject_of(recipe, folder)
    printed = io.StringIO()
    report = Reporter(Console(file=printed, width=200))
    patience = Patience(turns_s=1.0, burst_s=0.2)
    effort = Effort((MINMAX,), gives_layers_back=True, patience=patience)
    found = search(subject, _targets(recipe), Budget(), effort, report)
    show(found.reference, found.verdicts, report)
    shutil.rmtree(_reference_folder(folder))
    (folder / _TABLE).write_text(printed.getvalue())
    records = [variant.model_dump(mode="json") for variant in found.kept]
    (folder / _RECORDS).write_text(json.dumps(records, indent=1))


def _reference(recipe: Recipe, folder: Path) -> Bundle:
    """The model as a bundle without variants, which is what can be optimized."""
    import onnxruntime

    folder.mkdir(parents=True)
    graph = recipe.graph()
    (folder / MODEL_FILE).write_bytes(graph)
    questions = {name: rows[:_GOLDEN_ROWS] for name, rows in recipe.judging[0].items()}
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [spec.name for spec in recipe.draft.outputs]
    answers = dict(zip(names, session.run(names, questions), strict=True))
    Golden(questions, answers).save(folder / GOLDEN_FILE)
    return publish(_reference_folder(folder), recipe.draft, folder)


def _reference_folder(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-reference")


def subject_of(recipe: Recipe, folder: Path) -> Any:
    """What can be optimized, with its graph in `folder`, which is made, and a repository beside that."""
    from training.optimizing.given_data import GivenData
    from training.optimizing.of_bundle import BundleSubject

    bundle = _reference(recipe, folder)
    rows = (list(recipe.calibrating), list(recipe.judging))
    subject = BundleSubject(bundle, folder, None, GivenData("drawn", *rows, recipe.labels))
    subject.is_embedding = recipe.labels is None
    return subject


def _targets(recipe: Recipe) -> list[Any]:
    """Those that can be had here."""
    from training.optimizing.defaults import usable
    from training.optimizing.targets import named

    return list(usable(named([*TARGETS, *recipe.more])))


def in_batches(rows: np.ndarray, size: int = 16) -> list[Arrays]:
    """Of input `x`."""
    return [{"x": rows[start : start + size]} for start in range(0, len(rows), size)]
