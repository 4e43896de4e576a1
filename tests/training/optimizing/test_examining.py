"""Differences, and an exam that passes what rounds and fails what is wrong."""

from collections.abc import Mapping

import numpy as np
import pytest

from models.datatypes import DataType
from models.golden import Golden
from models.manifest import TensorSpec, Tolerance
from training.optimizing.examining import compare, exam_of, is_row_independent
from training.work import Array, Arrays, Predict

FLOATS = (TensorSpec(name="x", dtype=DataType.FLOAT, shape=("batch", 6)),)
IDS = (TensorSpec(name="x", dtype=DataType.INT64, shape=("batch", "length")),)
ROWS = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def answering(function: object) -> Predict:
    def predict(inputs: Mapping[str, Array]) -> Arrays:
        return {"y": function(inputs["x"])}  # type: ignore[operator]

    return predict


def golden() -> Golden:
    return Golden({"x": ROWS}, {"y": ROWS * 2})


def test_the_largest_difference_and_the_mean_direction() -> None:
    expected = {"y": np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)}
    given = {"y": np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)}
    found = compare(expected, given)
    assert found.max_difference == 1.0
    assert found.cosine == pytest.approx(0.5)


def test_not_a_number_is_infinitely_far_and_equal_infinities_are_equal() -> None:
    nothing = {"y": np.array([[np.nan]], np.float32)}
    assert compare({"y": np.ones((1, 1), np.float32)}, nothing).max_difference == np.inf
    infinite = {"y": np.array([[-np.inf]], np.float32)}
    assert compare(infinite, infinite).max_difference == 0


def test_whole_numbers_must_be_equal() -> None:
    one, other = {"y": np.array([1, 2])}, {"y": np.array([1, 3])}
    assert compare(one, one).max_difference == 0
    assert compare(one, other).max_difference == np.inf
    assert compare(one, other).cosine is None


def test_rows_of_zeros_agree_with_each_other_alone() -> None:
    zeros, ones = {"y": np.zeros((1, 3), np.float32)}, {"y": np.ones((1, 3), np.float32)}
    assert compare(zeros, zeros).cosine == 1
    assert compare(zeros, ones).cosine == 0


def test_the_exam_allows_three_times_what_was_seen_and_no_more() -> None:
    exam = exam_of(golden(), answering(lambda x: x * 2 + 0.01), Tolerance(), seen=0.02)
    assert exam.objection == ""
    assert exam.tolerance.atol == pytest.approx(1e-4 + 3 * 0.02)
    assert exam.tolerance.rtol == Tolerance().rtol


def test_questions_asked_one_by_one_count_too() -> None:
    def shy(x: Array) -> Array:
        return x * 2 + (0.05 if len(x) == 1 else 0)

    exam = exam_of(golden(), answering(shy), Tolerance(), seen=0)
    assert exam.tolerance.atol == pytest.approx(1e-4 + 3 * 0.05, rel=1e-3)


def test_an_exam_that_would_pass_anothers_answers_is_none() -> None:
    exam = exam_of(golden(), answering(lambda x: x * 2 + 5), Tolerance(), seen=0)
    assert "would pass another item's answers" in exam.objection


def test_other_whole_numbers_cannot_be_examined() -> None:
    whole = Golden({"x": ROWS}, {"y": np.arange(4)})
    exam = exam_of(whole, answering(lambda x: np.arange(len(x)) + 1), Tolerance(), seen=0)
    assert "other whole numbers" in exam.objection


def test_a_scale_that_spans_the_batch_is_noticed() -> None:
    def with_common_scale(x: Array) -> Array:
        scale = np.abs(x).max() / 127
        return np.asarray(np.rint(x / scale) * scale)

    assert not is_row_independent(answering(with_common_scale), {"x": ROWS}, FLOATS)
    assert is_row_independent(answering(lambda x: x * 3), {"x": ROWS}, FLOATS)


def test_a_scale_is_noticed_that_whole_numbers_have_in_common_in_any_order() -> None:
    ids = {"x": np.array([[1, 2], [9, 3], [4, 4], [2, 5]])}
    assert not is_row_independent(answering(lambda x: x / x.max()), ids, IDS)


def test_a_neighbour_of_whole_numbers_is_noticed() -> None:
    ids = {"x": np.arange(12).reshape(4, 3)}
    assert not is_row_independent(answering(lambda x: x + x[1]), ids, IDS)
    assert is_row_independent(answering(lambda x: x + 1), ids, IDS)


def test_inputs_that_rows_have_in_common_stay_as_they_are() -> None:
    total = TensorSpec(name="total", dtype=DataType.INT32, shape=(1,), batch_axis=None)
    seen: list[Array] = []

    def ask(inputs: Mapping[str, Array]) -> Arrays:
        seen.append(inputs["total"])
        return {"y": inputs["x"] + inputs["total"]}

    rows = {"x": np.arange(12).reshape(4, 3), "total": np.array([7], np.int32)}
    assert is_row_independent(ask, rows, (*IDS, total))
    assert all(given.tolist() == [7] for given in seen)
