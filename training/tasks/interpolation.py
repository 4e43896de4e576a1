"""The picture that shows what lies between two noises: shared by the generators that draw from a vector."""

from pathlib import Path
from typing import Any

import numpy as np

from models.transforms.interpolation import between, shares
from training import plots
from training.tasks.drawing_work import DrawingWork
from training.work import Predict

_FRAMES = 10
_CLASSES = 6
_SEED = 3


def draw_interpolation(folder: Path, work: DrawingWork[Any], size: int, predict: Predict) -> None:
    """interpolation.png: a row for each class, from one noise to another; `size` numbers each."""
    generator = np.random.default_rng(_SEED)
    rows = min(work.classes, _CLASSES) if work.is_conditional else _CLASSES
    ends = generator.standard_normal((rows, 2, size)).astype(np.float32)
    noise = np.stack(
        [
            between(ends[row, 0], ends[row, 1], share)
            for row in range(rows)
            for share in shares(_FRAMES)
        ]
    )
    inputs = {"noise": noise}
    if work.is_conditional:
        inputs["label"] = np.repeat(np.arange(rows, dtype=np.int64), _FRAMES)
    pictures = predict(inputs)["image"]
    sheet = pictures.reshape(rows, _FRAMES, *pictures.shape[1:])
    plots.montage(folder / "interpolation.png", list(sheet), work.captions(rows))
