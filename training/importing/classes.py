"""What imported classifiers of text and of pictures share: which function makes scores of logits."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.blocks import ClassificationPostprocessing
from models.transforms.scores import softmax
from training.errors import DataError

_SHOWN = 4


def require_no_regression(config: dict[str, Any]) -> None:
    """Raises DataError: a number is not a class."""
    if config.get("problem_type") == "regression":
        raise DataError(
            "the checkpoint was trained to give numbers (problem_type regression), not classes; "
            "scores of pairs of texts are --task text-similarity"
        )


def ends_in_sigmoid(config: dict[str, Any], classes: int) -> bool:
    """The library's own rule: several labels may hold at once, or there is one that holds or does not."""
    return config.get("problem_type") == "multi_label_classification" or classes == 1


def probabilities(logits: np.ndarray, block: ClassificationPostprocessing) -> np.ndarray:
    """As the service computes them."""
    return logits if block.is_probability else softmax(logits)


def score_gap(found: Sequence[Mapping[str, Any]], given: np.ndarray, labels: list[str]) -> float:
    """The largest difference of a label's score. `found` is the pipeline's answer, a label each; where two
    labels have one name, scores are compared in their order."""
    if len(found) != len(given):
        return math.inf
    theirs = np.array([entry["score"] for entry in found], dtype=np.float64)
    if len(set(labels)) == len(labels):
        places = {str(entry["label"]): place for place, entry in enumerate(found)}
        ours = given.astype(np.float64)
        theirs = theirs[[places[label] for label in labels]]
    else:
        ours, theirs = np.sort(given.astype(np.float64)), np.sort(theirs)
    return float(np.nan_to_num(np.abs(ours - theirs), nan=math.inf).max())


def in_words(labels: list[str]) -> str:
    """How many, and the first few."""
    shown = ", ".join(labels[:_SHOWN])
    return f"{len(labels)}: {shown}{', …' if len(labels) > _SHOWN else ''}"
