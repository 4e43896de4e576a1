"""A target's graph against the reference's, on the same rows: all that its record says but its speed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from models.golden import Golden
from models.manifest import Evaluation, Variant
from models.runtimes.hardware import describe
from training.graph_file import graph_bytes
from training.optimizing.alone import one_by_one
from training.optimizing.budget import Budget
from training.optimizing.examining import Comparison, compare, exam_of, is_row_independent
from training.optimizing.paired import delta_interval
from training.optimizing.remembering import remembering
from training.optimizing.sessions import REFERENCE, opened
from training.optimizing.subject import Subject
from training.optimizing.targets import Target
from training.work import Array, Arrays, Predict

_COMPARED_ITEMS = 32
_COMPARED_BATCHES = 4  # of vectors, whose direction is judged
_NEIGHBOURS = 4


@dataclass(frozen=True)
class Known:
    """The reference's side of every comparison. `scores`: of each held-out item, where there are any.
    `alone`: its answers to the samples' rows one by one, for variants that are asked so: what it says of
    padding is nobody's answer."""

    size_bytes: int
    evaluation: tuple[Evaluation, ...]
    scores: Array | None
    samples: list[Arrays]
    answers: list[Arrays]
    alone: list[Arrays]
    golden: Golden


@dataclass(frozen=True)
class Judged:
    """`record` lacks its speed. `objection` empty: it may be published."""

    record: Variant
    cosine: float | None
    objection: str


def know(subject: Subject, evaluation: tuple[Evaluation, ...] = ()) -> Known:
    """Ask the reference. `evaluation`: its figures, where they are known. Raises BundleError, RunError."""
    with opened(subject, REFERENCE) as reference:
        ask = _judging(subject, reference.predict)
        evaluation = evaluation or subject.evaluate(ask)
        scores = subject.item_scores(ask)
        samples = _samples(subject)
        answers = [reference.predict(batch) for batch in samples]
        alone = answers
        if any(spec.pad_axes for spec in subject.inputs):
            alone = list(map(one_by_one(reference.predict, subject.inputs), samples))
        questions = subject.golden_inputs()
        golden = Golden(questions, reference.predict(questions))
    return Known(graph_bytes(subject.graph), evaluation, scores, samples, answers, alone, golden)


def judge(subject: Subject, target: Target, known: Known, budget: Budget) -> Judged:
    """Raises BundleError where the runtime refuses the graph, RunError where it cannot run it."""
    with opened(subject, target) as variant:
        independent = is_row_independent(
            variant.predict, subject.sample(_NEIGHBOURS), subject.inputs
        )
        served = variant.predict
        if not independent:
            served = one_by_one(variant.predict, subject.inputs)
        expected = known.answers if independent else known.alone
        compared = _compared(known.samples, expected, served)
        ask = _judging(subject, served)
        evaluation = subject.evaluate(ask)
        scores = subject.item_scores(ask)
        exam = exam_of(known.golden, variant.predict, subject.tolerance, compared.max_difference)
    reference = known.evaluation
    file = target.file
    record = Variant(
        precision=target.precision,
        runtime=target.runtime,
        provider=target.provider,
        compute=target.compute,
        file=file,
        size_bytes=graph_bytes(subject.folder / file) if file else known.size_bytes,
        accuracy_delta=evaluation[0].value - reference[0].value if reference else 0.0,
        accuracy_interval=delta_interval(reference, evaluation, (known.scores, scores)),
        max_difference=compared.max_difference,
        tolerance=None if subject.has_own_exams else exam.tolerance,
        is_row_independent=independent,
        hardware=describe(),
    )
    is_by_direction = subject.is_embedding or not reference
    cosine = compared.cosine if is_by_direction else None
    objection = (
        subject.objection(target.precision, reference, evaluation, budget)
        or budget.objection_to_cosine(cosine)
        or ("" if subject.has_own_exams else exam.objection)
    )
    return Judged(record, cosine, objection)


def _judging(subject: Subject, predict: Predict) -> Predict:
    """The same rows are asked for figures and again for the scores of items, where there are those."""
    return remembering(predict) if subject.scores_items else predict


def _samples(subject: Subject) -> list[Arrays]:
    """Rows whose answers are compared; more of them where they are vectors."""
    count = _COMPARED_ITEMS * (_COMPARED_BATCHES if subject.is_embedding else 1)
    everything = subject.sample(count)
    rows = len(next(iter(everything.values())))
    return [
        {name: array[start : start + _COMPARED_ITEMS] for name, array in everything.items()}
        for start in range(0, rows, _COMPARED_ITEMS)
    ]


def _compared(
    samples: Sequence[Arrays], expected: Sequence[Arrays], predict: Predict
) -> Comparison:
    each = [
        compare(wanted, predict(batch)) for batch, wanted in zip(samples, expected, strict=True)
    ]
    cosines = [one.cosine for one in each if one.cosine is not None]
    worst = max(one.max_difference for one in each)
    return Comparison(worst, statistics.fmean(cosines) if cosines else None)
