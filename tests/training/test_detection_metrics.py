import numpy as np
import pytest

from models.transforms.detection import Objects
from training.detection_metrics import (
    THRESHOLDS,
    Truth,
    average_precision,
    match,
    mean_average_precision,
    picture_interval,
)


def found(*rows: tuple[float, int, tuple[float, ...]]) -> Objects:
    """(score, label, box) each, best first."""
    scores, labels, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Objects(
        np.asarray(boxes, dtype=float).reshape(-1, 4),
        np.asarray(scores),
        np.asarray(labels, dtype=int),
    )


def truth(*rows: tuple[int, tuple[float, ...]], crowd: int | None = None) -> Truth:
    labels = np.asarray([label for label, _ in rows], dtype=int)
    boxes = np.asarray([box for _, box in rows], dtype=float).reshape(-1, 4)
    return Truth(boxes, labels, np.arange(len(rows)) == crowd)


A, B, C = (0, 0, 10, 10), (20, 20, 40, 40), (60, 60, 80, 80)
NOWHERE = (90, 90, 95, 95)


def test_everything_found_exactly_is_one() -> None:
    matches = match([found((0.9, 0, A), (0.8, 1, B))], [truth((0, A), (1, B))], 2)
    assert mean_average_precision(matches, range(10)) == pytest.approx(1)


def test_nothing_found_is_nothing() -> None:
    matches = match([found()], [truth((0, A))], 1)
    assert mean_average_precision(matches, [0]) == 0


def test_a_wrong_one_between_two_right_ones_by_paper_and_pencil() -> None:
    """Precision 1 up to recall 1/2, then 2/3: of 101 recalls 0 … 1, 51 read 1 and 50 read 2/3."""
    matches = match(
        [found((0.9, 0, A), (0.8, 0, NOWHERE), (0.7, 0, B))], [truth((0, A), (0, B))], 1
    )
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert average_precision(matches, 0)[0] == pytest.approx(expected)


def test_objects_that_are_missed_cost_their_recalls() -> None:
    """One of three: recalls 0 to 0.33 are reached, 34 of 101."""
    matches = match([found((0.9, 0, A))], [truth((0, A), (0, B), (0, C))], 1)
    assert average_precision(matches, 0)[0] == pytest.approx(34 / 101)


def test_a_second_box_on_the_same_object_is_wrong() -> None:
    matches = match([found((0.9, 0, A), (0.8, 0, A))], [truth((0, A))], 1)
    assert matches.is_right[0].tolist() == [True, False]


def test_a_box_takes_the_object_that_it_overlaps_most_among_those_left() -> None:
    near, nearer = (0, 0, 10, 10), (1, 0, 11, 10)
    matches = match(
        [found((0.9, 0, (1, 0, 11, 10)), (0.8, 0, (1, 0, 11, 10)))],
        [truth((0, near), (0, nearer))],
        1,
    )
    assert matches.is_right[0].tolist() == [True, True]


def test_the_threshold_is_what_must_be_overlapped() -> None:
    """A box of two thirds of its object: IoU 0.667 counts at 0.5 to 0.65."""
    matches = match([found((0.9, 0, (0, 0, 10, 20)))], [truth((0, (0, 0, 10, 30)))], 1)
    assert matches.is_right[:, 0].tolist() == [threshold < 0.667 for threshold in THRESHOLDS]
    assert mean_average_precision(matches, range(10)) == pytest.approx(0.4)


def test_boxes_of_another_class_or_picture_do_not_count() -> None:
    matches = match([found((0.9, 1, A)), found((0.9, 0, A))], [truth((0, A)), truth((1, A))], 2)
    assert not matches.is_right.any()


def test_classes_that_do_not_occur_are_left_out_of_the_mean() -> None:
    matches = match([found((0.9, 0, A), (0.8, 2, B))], [truth((0, A))], 3)
    values = average_precision(matches, 0)
    assert np.isnan(values[1:]).all()
    assert mean_average_precision(matches, [0]) == pytest.approx(1)


def test_what_lies_in_a_crowd_counts_neither_way() -> None:
    crowd = (20, 20, 100, 100)
    boxes = found((0.95, 0, (30, 30, 40, 40)), (0.9, 0, A), (0.8, 0, (50, 50, 60, 60)))
    matches = match([boxes], [truth((0, A), (0, crowd), crowd=1)], 1)
    assert matches.is_ignored[0].tolist() == [True, False, True]
    assert mean_average_precision(matches, [0]) == pytest.approx(1)
    assert matches.objects.tolist() == [[1]]


def test_pictures_are_ranked_together_by_score() -> None:
    """The wrong one of the second picture is surer than the right one of the first."""
    matches = match([found((0.6, 0, A)), found((0.9, 0, NOWHERE))], [truth((0, A)), truth()], 1)
    assert average_precision(matches, 0)[0] == pytest.approx(0.5)


def test_weights_are_pictures_that_occur_so_often() -> None:
    generator = np.random.default_rng(0)
    pictures, answers = [], []
    for _ in range(6):
        boxes = [tuple(np.r_[c, c + 10]) for c in generator.uniform(0, 90, (4, 2))]
        labels = generator.integers(0, 2, 4)
        pictures.append(truth(*zip(labels, boxes, strict=True)))
        scores = np.sort(generator.random(4))[::-1]
        moved = [tuple(np.asarray(box) + generator.uniform(0, 5)) for box in boxes]
        answers.append(found(*zip(scores, labels, moved, strict=True)))
    rows = [0, 0, 2, 3, 3, 3]
    weighted = average_precision(match(answers, pictures, 2), 0, np.bincount(rows, minlength=6))
    again = match([answers[row] for row in rows], [pictures[row] for row in rows], 2)
    np.testing.assert_allclose(weighted, average_precision(again, 0), atol=1e-9)


def test_the_interval_lies_around_the_figure_and_narrows_with_pictures() -> None:
    """Half of the pictures are right; few sure mistakes everywhere lower the figure."""
    widths = []
    for count in (20, 320):
        answers = [
            found((0.9 if row % 2 else 0.3, 0, A if row % 2 else NOWHERE)) for row in range(count)
        ]
        matches = match(answers, [truth((0, A))] * count, 1)
        interval = picture_interval(matches, 0, seed=0, resamples=300)
        value = mean_average_precision(matches, [0])
        assert interval.low < value < interval.high
        widths.append(interval.high - interval.low)
    # Four times as narrow for sixteen times as many, within the bootstrap's own noise.
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)
