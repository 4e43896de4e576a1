"""The golden exam: before a model may serve, it must give the answers that it gave at export.

Runs inside the worker, through the very session that will serve. It proves a forward pass and catches a
wrong runtime, a wrong provider or broken kernels; weights were already proven by their checksums.
"""

import numpy as np

from models.bundle import Bundle
from models.golden import Golden
from models.manifest import GOLDEN_FILE
from models.runtimes.base import Arrays, Session
from service.selection.choice import Choice, exam_of


def read_golden(bundle: Bundle, file: str = GOLDEN_FILE) -> Golden | None:
    """None for a bundle without an exam (an imported graph)."""
    if file not in bundle.manifest.files:
        return None
    return Golden.from_bytes(bundle.read(file))


def replay(session: Session, bundle: Bundle, choice: Choice) -> float | None:
    """Largest absolute difference to the golden answers, held to what this choice may differ by.

    A choice whose rows depend on each other is asked one by one, as it will be. Raises ExamFailed.
    """
    exam = exam_of(bundle.manifest, choice)
    golden = read_golden(bundle, exam.golden)
    if golden is None:
        return None
    return golden.compare(_answers(session, bundle, golden, choice), exam.tolerance)


def _answers(session: Session, bundle: Bundle, golden: Golden, choice: Choice) -> Arrays:
    manifest = bundle.manifest
    axes = {spec.name: spec.batch_axis for spec in (*manifest.inputs, *manifest.outputs)}
    batched = [name for name in golden.inputs if axes[name] is not None]
    if choice.max_batch_size != 1 or not batched or None in axes.values():
        return session.run(golden.inputs)
    rows = golden.inputs[batched[0]].shape[axes[batched[0]] or 0]
    each = [
        session.run({name: _row(value, row, axes[name]) for name, value in golden.inputs.items()})
        for row in range(rows)
    ]
    return {
        name: np.concatenate([answers[name] for answers in each], axis=axes[name] or 0)
        for name in golden.outputs
    }


def _row(value: np.ndarray, row: int, axis: int | None) -> np.ndarray:
    return value if axis is None else value.take([row], axis)
