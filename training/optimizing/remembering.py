"""Answers kept for the length of one judgement, so that the same rows are run once though figures and
per-item scores both ask for them."""

import hashlib
from collections.abc import Mapping

from training.work import Array, Arrays, Predict


def remembering(predict: Predict) -> Predict:
    """`predict` that runs equal inputs once. Holds every answer: drop it after the judgement."""
    known: dict[bytes, Arrays] = {}

    def ask(inputs: Mapping[str, Array]) -> Arrays:
        key = _digest(inputs)
        if key not in known:
            known[key] = predict(inputs)
        return known[key]

    return ask


def _digest(inputs: Mapping[str, Array]) -> bytes:
    digest = hashlib.sha256()
    for name, array in inputs.items():
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.digest()
