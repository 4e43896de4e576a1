"""Logits → probabilities → labelled scores; one logit → the score of a pair."""

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from models.blocks import ScorePostprocessing


class LabelScore(TypedDict):
    label: str
    score: float
    index: int


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """float32, over the last axis; the maximum is subtracted first so that exp cannot overflow."""
    scaled = np.asarray(logits, dtype=np.float32) / np.float32(temperature)
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    result: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return result


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """float32, over the last axis: the logarithm of `softmax`, also where that would round to 0."""
    shifted = np.asarray(logits, dtype=np.float32)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def top_k(scores: np.ndarray, labels: Sequence[str], k: int) -> list[LabelScore]:
    """The `k` highest of one row of scores, best first; equal scores keep class order."""
    order = np.argsort(-scores, kind="stable")[:k]
    return [
        LabelScore(label=labels[index], score=float(scores[index]), index=int(index))
        for index in order
    ]


def pair_score(logit: float, block: ScorePostprocessing) -> float:
    """What a cross-encoder's only number means: the block's activation, then its scale."""
    if block.activation == "sigmoid":
        # Of the negative magnitude, so that no logit overflows.
        power = math.exp(-abs(logit))
        logit = 1 / (1 + power) if logit >= 0 else power / (1 + power)
    return logit * block.scale
