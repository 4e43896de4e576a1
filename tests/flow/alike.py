"""Answers of two computations of the same thing: numbers within rounding, all else equal."""

import base64
import binascii
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

_PNG = b"\x89PNG"
_TOLERANCE = 1e-3
# What the float16 cache moves a logit by; models that have learned next to nothing have near ties.
_LOGIT_TOLERANCE = 0.02
_MOST_PATHS = 64


def greedy_paths(network: nn.Module, prompt_ids: list[int], count: int) -> list[list[int]]:
    """All that `count` greedy choices after the prompt may be when near ties go either way."""
    paths: list[list[int]] = [[]]
    for _ in range(count):
        longer = []
        for path in paths:
            with torch.inference_mode():
                logits = network(torch.tensor([prompt_ids + path]))[0, -1]
            near = (logits >= logits.max() - _LOGIT_TOLERANCE).nonzero().flatten().tolist()
            longer += [[*path, token] for token in near]
        paths = longer
        assert len(paths) <= _MOST_PATHS, "nearly every token is a tie: nothing is compared"
    return paths


def assert_alike(given: Any, expected: Any, where: str = "answer") -> None:
    """Pictures in base64 may differ by one level in a pixel."""
    if isinstance(expected, dict):
        assert given.keys() == expected.keys(), where
        for key in expected:
            assert_alike(given[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(given) == len(expected), where
        for index, (one, other) in enumerate(zip(given, expected, strict=True)):
            assert_alike(one, other, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert given == pytest.approx(expected, rel=_TOLERANCE, abs=_TOLERANCE), where
    elif isinstance(expected, str) and (picture := _pixels(expected)) is not None:
        shown = _pixels(given)
        assert shown is not None, where
        assert shown.shape == picture.shape, where
        assert np.abs(shown.astype(int) - picture.astype(int)).max() <= 1, where
    else:
        assert given == expected, where


def _pixels(text: str) -> np.ndarray | None:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not data.startswith(_PNG):
        return None
    return np.asarray(Image.open(io.BytesIO(data)))
