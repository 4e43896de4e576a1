import numpy as np
import pytest

from models.blocks import DetectionPostprocessing, ImagePreprocessing
from models.transforms.detection import (
    MOST_CANDIDATES,
    Limits,
    Objects,
    coverage,
    find_objects,
    iou,
    probabilities,
    suppress,
)
from models.transforms.geometry import placement, untouched

BLOCK = DetectionPostprocessing()
CANVAS = untouched((100, 100))
LIMITS = Limits(score_threshold=0.3, iou_threshold=0.5, most=100)


def _plainly_suppressed(objects: Objects, threshold: float) -> list[int]:
    """One after the other, as the method is told in words."""
    kept: list[int] = []
    for row in range(len(objects)):
        rivals = [other for other in kept if objects.labels[other] == objects.labels[row]]
        overlaps = [
            iou(objects.boxes[other : other + 1], objects.boxes[row : row + 1])[0, 0]
            for other in rivals
        ]
        if all(overlap <= threshold for overlap in overlaps):
            kept.append(row)
    return kept


def test_overlaps_are_those_of_paper_and_pencil() -> None:
    left = np.array([[0.0, 0, 10, 10]])
    right = np.array(
        [[5.0, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30], [2, 2, 4, 4], [3, 3, 3, 3]]
    )
    assert iou(left, right)[0].tolist() == pytest.approx([1 / 3, 1, 0, 0.04, 0])
    assert coverage(right, left)[:, 0].tolist() == pytest.approx([0.5, 1, 0, 1, 0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_suppression_equals_the_plain_method(seed: int, threshold: float) -> None:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(5, 40, (80, 2))], axis=1)
    objects = Objects(boxes, np.sort(generator.random(80))[::-1], generator.integers(0, 3, 80))
    expected = _plainly_suppressed(objects, threshold)
    assert suppress(objects, threshold, 100).tolist() == expected
    assert suppress(objects, threshold, 7).tolist() == expected[:7]


def test_only_objects_of_one_class_hide_each_other() -> None:
    boxes = np.array([[10.0, 10, 50, 50], [11, 11, 51, 51]])
    scores = np.array([[0.9, 0.6], [0.8, 0.1]])
    found = find_objects(boxes, scores, BLOCK, LIMITS, CANVAS)
    assert found.labels.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize("nms", ["graph", "none"])
def test_a_graph_that_decides_itself_is_believed(nms: str) -> None:
    block = DetectionPostprocessing.model_validate({"nms": nms})
    boxes = np.array([[10.0, 10, 50, 50], [11, 11, 51, 51]])
    found = find_objects(boxes, np.array([[0.9], [0.8]]), block, LIMITS, CANVAS)
    assert len(found) == 2


def test_boxes_are_told_in_the_pictures_pixels() -> None:
    """A picture of 200×100 in a canvas of 64×64: half its size, 16 black rows above and below."""
    block = ImagePreprocessing(input="image", height=64, width=64, fit="pad")
    boxes = np.array([[16.0, 24, 32, 40], [0, 10, 70, 30], [5, 2, 20, 15]])
    found = find_objects(
        boxes, np.array([[0.9], [0.8], [0.7]]), BLOCK, LIMITS, placement((200, 100), block)
    )
    # The second is cut off at the edges; the third lies in the border and is no object.
    assert found.boxes.tolist() == [[50, 25, 100, 75], [0, 0, 200, 43.75]]
    assert found.boxes.dtype == np.float32


def test_centres_and_parts_of_the_sides_are_understood() -> None:
    block = DetectionPostprocessing(box_format="cxcywh", box_unit="relative")
    found = find_objects(np.array([[0.5, 0.25, 0.2, 0.1]]), np.ones((1, 1)), block, LIMITS, CANVAS)
    assert found.boxes[0].tolist() == pytest.approx([40, 20, 60, 30])


def test_scores_become_probabilities_as_the_manifest_says() -> None:
    logits = np.array([[0.0, 2.0, 1.0], [-500.0, 800.0, -800.0]])
    sigmoid = DetectionPostprocessing(score_kind="sigmoid")
    assert probabilities(logits, sigmoid)[0].tolist() == pytest.approx(
        (1 / (1 + np.exp(-logits[0]))).tolist()
    )
    assert probabilities(logits, sigmoid)[1].tolist() == [0, 1, 0]
    background = DetectionPostprocessing(score_kind="softmax_background")
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert probabilities(logits, background)[0].tolist() == pytest.approx([0, shares[1]])


def test_the_number_of_candidates_is_bounded_by_the_best() -> None:
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 90, (5000, 2))
    boxes = np.concatenate([corners, corners + 5], axis=1)
    scores = generator.random((5000, 4))
    open_wide = Limits(score_threshold=0.0, iou_threshold=1.0, most=10_000)
    found = find_objects(boxes, scores, BLOCK, open_wide, CANVAS)
    assert len(found) == MOST_CANDIDATES
    best = np.sort(scores.ravel())[::-1][:MOST_CANDIDATES].astype(np.float32)
    assert found.scores.tolist() == best.tolist()


def test_nothing_above_the_threshold_is_no_object() -> None:
    found = find_objects(np.zeros((4, 4)), np.zeros((4, 3)), BLOCK, LIMITS, CANVAS)
    assert (len(found), found.boxes.shape) == (0, (0, 4))
