"""What all classifiers are judged by, whatever they read: used by the classification works.

Letters: N items, K classes. Logits float [N, K], labels int [N] in 0..K−1, in numpy, so that torch, the
exported graph and its variants are judged by the same code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ConfidenceInterval, Evaluation
from models.transforms.scores import softmax
from training import metrics, plots
from training.work import CardTable

Array = NDArray[Any]

_MOST_CLASSES = 60  # in the card's table
_MOST_CONFUSIONS = 15


@dataclass(frozen=True)
class HeldOut:
    """The rows a classifier is judged on, and the training labels that make its baseline."""

    dataset: str
    split: str
    labels: Array
    training_labels: Array
    class_names: tuple[str, ...]


def evaluations(logits: Array, held_out: HeldOut, temperature: float) -> tuple[Evaluation, ...]:
    """Accuracy (main; Wilson interval, majority baseline), macro-F1, calibration error, NLL."""
    truth, predicted = held_out.labels, logits.argmax(axis=1)
    calibrated, raw = softmax(logits, temperature), softmax(logits)
    return (
        figure(
            held_out,
            "accuracy",
            metrics.accuracy(truth, predicted),
            interval=metrics.wilson_interval(int((truth == predicted).sum()), len(truth)),
            baselines={"majority": metrics.majority_accuracy(held_out.training_labels, truth)},
        ),
        figure(held_out, "macro-f1", metrics.macro_f1(truth, predicted, len(held_out.class_names))),
        figure(
            held_out,
            "calibration-error",
            metrics.expected_calibration_error(calibrated, truth),
            higher_is_better=False,
            baselines={"uncalibrated": metrics.expected_calibration_error(raw, truth)},
        ),
        figure(
            held_out,
            "negative-log-likelihood",
            metrics.negative_log_likelihood(logits, truth, temperature),
            higher_is_better=False,
            baselines={"uncalibrated": metrics.negative_log_likelihood(logits, truth)},
        ),
    )


def figure(
    held_out: HeldOut,
    metric: str,
    value: float,
    *,
    higher_is_better: bool = True,
    interval: ConfidenceInterval | None = None,
    baselines: dict[str, float] | None = None,
) -> Evaluation:
    """One Evaluation of the held-out rows."""
    return Evaluation(
        dataset=held_out.dataset,
        split=held_out.split,
        metric=metric,
        value=value,
        higher_is_better=higher_is_better,
        interval=interval,
        samples=len(held_out.labels),
        baselines=baselines or {},
    )


def draw(folder: Path, logits: Array, held_out: HeldOut, temperature: float) -> None:
    """confusion.png and reliability.png in `folder`."""
    table = metrics.confusion(held_out.labels, logits.argmax(axis=1), len(held_out.class_names))
    plots.confusion_matrix(folder / "confusion.png", table, held_out.class_names)
    probabilities = np.asarray(softmax(logits, temperature))
    raw = np.asarray(softmax(logits))
    plots.reliability_diagram(
        folder / "reliability.png", probabilities, held_out.labels, uncalibrated=raw
    )


def tables(logits: Array, held_out: HeldOut, temperature: float) -> tuple[CardTable, ...]:
    """For the card: every class on its own, the commonest confusions, calibration before and after."""
    return (
        _classes(logits, held_out),
        _confusions(logits, held_out),
        _calibration(logits, held_out, temperature),
    )


def _classes(logits: Array, held_out: HeldOut) -> CardTable:
    """Each class against all others; of many classes the worst, for those are looked for."""
    identity = np.eye(len(held_out.class_names), dtype=bool)
    counts = metrics.multilabel_confusion(
        identity[held_out.labels], identity[logits.argmax(axis=1)]
    )
    shares = metrics.precision_recall_f1(counts)
    shown, note = np.arange(len(counts)), "Each class against all others."
    if len(counts) > _MOST_CLASSES:
        shown = np.argsort(shares[:, 2], kind="stable")[:_MOST_CLASSES]
        note = f"Each class against all others; the {_MOST_CLASSES} of {len(counts)} with the least F1."
    head = ("class", "items", "right", "missed", "wrongly said", "precision", "recall", "F1")
    rows = []
    for row in shown:
        (_, wrongly), (missed, both) = counts[row].tolist()
        numbers = (f"{number:,}" for number in (both + missed, both, missed, wrongly))
        shared = (f"{share:.4f}" for share in shares[row])
        rows.append((held_out.class_names[row], *numbers, *shared))
    return CardTable("Classes", head, tuple(rows), note)


def _confusions(logits: Array, held_out: HeldOut) -> CardTable:
    names = held_out.class_names
    counts = metrics.confusion(held_out.labels, logits.argmax(axis=1), len(names))
    items = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    commonest = np.argsort(-counts.ravel(), kind="stable")[:_MOST_CONFUSIONS]
    pairs = [divmod(int(place), len(names)) for place in commonest if counts.flat[place]]
    rows = tuple(
        (
            names[true],
            names[said],
            f"{counts[true, said]:,}",
            f"{counts[true, said] / items[true]:.1%}",
        )
        for true, said in pairs
    )
    note = "What is taken for what, the commonest first." if rows else "Nothing was confused."
    return CardTable("Confusions", ("class", "taken for", "items", "of the class"), rows, note)


def _calibration(logits: Array, held_out: HeldOut, temperature: float) -> CardTable:
    """What the scores claim against what is right, before the temperature and after."""
    truth, rows = held_out.labels, []
    share = metrics.accuracy(truth, logits.argmax(axis=1))
    for name, divisor in (("before", 1.0), ("after, as served", temperature)):
        probabilities = np.asarray(softmax(logits, divisor))
        figures = (
            divisor,
            float(probabilities.max(axis=1).mean()),
            share,
            metrics.expected_calibration_error(probabilities, truth),
            metrics.negative_log_likelihood(logits, truth, divisor),
        )
        rows.append((name, *(f"{figure:.4f}" for figure in figures)))
    head = ("calibration", "temperature", "mean claim", "accuracy", "calibration error", "NLL")
    note = (
        "The temperature was fitted on validation items (C. Guo et al. 2017) and is applied when served; "
        "these are the held-out ones."
    )
    return CardTable("Calibration", head, tuple(rows), note)


def sample_rows(logits: Array, held_out: HeldOut, count: int) -> list[tuple[int, str]]:
    """Rows for a sample sheet with captions: up to half of it mistakes, the most certain first.

    The rest are right ones from all over the split, which may be ordered by class.
    """
    predicted = logits.argmax(axis=1)
    is_wrong = predicted != held_out.labels
    certainty = np.asarray(softmax(logits)).max(axis=1)
    wrong = np.flatnonzero(is_wrong)
    wrong = wrong[np.argsort(-certainty[wrong], kind="stable")][: count // 2]
    right = np.flatnonzero(~is_wrong)
    spread = np.linspace(0, len(right) - 1, min(count - len(wrong), len(right))).astype(int)
    names = held_out.class_names
    captions = [
        (int(row), f"{names[held_out.labels[row]]}, read as {names[predicted[row]]}")
        for row in wrong
    ]
    return captions + [(int(row), names[predicted[row]]) for row in right[spread]]
