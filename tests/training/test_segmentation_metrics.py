import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score

from training.data.masked_pictures import IGNORED
from training.segmentation_metrics import class_iou, mean_iou, pixel_accuracy, shared_pixels


def test_shared_pixels_by_paper_and_pencil() -> None:
    truth = np.array([[0, 0, 1], [1, 2, IGNORED]], dtype=np.uint8)
    given = np.array([[0, 1, 1], [0, 2, 2]], dtype=np.uint8)
    shared = shared_pixels(truth, given, 4)
    assert shared.tolist() == [[1, 2, 2], [1, 2, 2], [1, 1, 1], [0, 0, 0]]
    values = class_iou(shared[None])
    assert values[:3].tolist() == pytest.approx([1 / 3, 1 / 3, 1])
    assert np.isnan(values[3])
    assert mean_iou(shared[None]) == pytest.approx(5 / 9)
    assert pixel_accuracy(shared[None]) == pytest.approx(3 / 5)


def test_figures_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 5, (7, 9, 11)).astype(np.uint8)
    given = np.where(generator.random(truth.shape) < 0.6, truth, (truth + 1) % 5)
    shared = np.stack([shared_pixels(*pair, 5) for pair in zip(truth, given, strict=True)])
    flat = truth.ravel(), given.ravel()
    assert class_iou(shared).tolist() == pytest.approx(jaccard_score(*flat, average=None))
    assert mean_iou(shared) == pytest.approx(jaccard_score(*flat, average="macro"))
    assert pixel_accuracy(shared) == pytest.approx(accuracy_score(*flat))


def test_without_known_pixels_there_is_nothing_to_be_right_about() -> None:
    blank = np.full((2, 2), IGNORED, dtype=np.uint8)
    shared = shared_pixels(blank, np.zeros((2, 2), dtype=np.uint8), 3)
    assert mean_iou(shared[None]) == 0
    assert pixel_accuracy(shared[None]) == 0
