"""How a variant's answers differ from the reference's, and what its golden exam must therefore allow.

Letters: N rows. Answers are named arrays with a leading batch axis; non-float ones must be equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import ExamFailed
from models.golden import Golden
from models.manifest import TensorSpec, Tolerance
from training.work import Array, Arrays, Predict

# Other processors round in other places: a matrix product in bfloat16 by AMX, by AVX-512 or widened to
# float32; an 8-bit product kept in 32 bits or, before VNNI, in 16. Each moves an answer by about as much as
# the rounding that was measured here, in any direction; three times that covers the sum with room to spare,
# and `telling_apart` sees that it does not cover another item's answer.
_MARGIN = 3.0
_LOUDER = (
    4.0  # neighbours of a row under test are this much larger, so that a common scale would show
)


@dataclass(frozen=True)
class Comparison:
    """`cosine`: mean over rows of one output's direction against the reference's; None without floats."""

    max_difference: float
    cosine: float | None


def compare(expected: Mapping[str, Array], given: Mapping[str, Array]) -> Comparison:
    """Every output of the same rows. Infinite where a variant gives no number and the reference does."""
    worst, cosines = 0.0, []
    for name, wanted in expected.items():
        answer = given[name]
        if wanted.dtype.kind != "f":
            worst = max(worst, 0.0 if np.array_equal(wanted, answer) else np.inf)
            continue
        left, right = wanted.astype(np.float64), answer.astype(np.float64)
        with np.errstate(invalid="ignore"):
            difference = np.where(left == right, 0.0, np.abs(left - right))
        finite = np.nan_to_num(difference, nan=np.inf)
        worst = max(worst, float(finite.max(initial=0.0)))
        cosines.append(_cosines(left, right))
    return Comparison(worst, float(np.mean(np.concatenate(cosines))) if cosines else None)


def _cosines(left: Array, right: Array) -> Array:
    """[N]; rows that are all zeros on both sides agree."""
    left, right = left.reshape(len(left), -1), right.reshape(len(right), -1)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (left * right).sum(axis=1) / lengths
    both_nothing = (np.abs(left).max(axis=1, initial=0) == 0) & (
        np.abs(right).max(axis=1, initial=0) == 0
    )
    result: Array = np.where(both_nothing, 1.0, np.nan_to_num(cosines, nan=0.0))
    return result


@dataclass(frozen=True)
class Exam:
    """How the reference's golden exam is held with a variant; it cannot be where there is an objection."""

    tolerance: Tolerance
    objection: str


def exam_of(golden: Golden, predict: Predict, base: Tolerance, seen: float) -> Exam:
    """`base`: the reference's own tolerance. `seen`: largest difference on other rows.

    The questions are asked together and one by one, as a server may. The variant must pass with what the
    exam then allows; and it must mean something: the answers of another item must fail.
    """
    together = predict(golden.inputs)
    worst = max(seen, compare(golden.outputs, together).max_difference)
    for row in range(_rows(golden)):
        alone = predict({name: array[row : row + 1] for name, array in golden.inputs.items()})
        wanted = {name: answer[row : row + 1] for name, answer in golden.outputs.items()}
        worst = max(worst, compare(wanted, alone).max_difference)
    if not np.isfinite(worst):
        return Exam(
            base, "gives other whole numbers, or no numbers, where the reference gives some"
        )
    tolerance = Tolerance(atol=float(f"{base.atol + _MARGIN * worst:.3g}"), rtol=base.rtol)
    try:
        golden.compare(together, tolerance)
    except ExamFailed as error:  # whole numbers that differ
        return Exam(tolerance, error.message)
    if _rows(golden) > 1 and not _tells_apart(golden, tolerance):
        words = (
            f"its exam, with a tolerance of {tolerance.atol:g}, would pass another item's answers"
        )
        return Exam(tolerance, words)
    return Exam(tolerance, "")


def _rows(golden: Golden) -> int:
    """Questions; 1 where rows cannot be asked one by one, because arrays differ in length."""
    lengths = {len(array) if array.ndim else 1 for array in golden.inputs.values()}
    lengths |= {len(array) if array.ndim else 1 for array in golden.outputs.values()}
    return lengths.pop() if len(lengths) == 1 else 1


def _tells_apart(golden: Golden, tolerance: Tolerance) -> bool:
    """Do the recorded answers, each given to the next question, fail?"""
    moved = {name: np.roll(answer, 1, axis=0) for name, answer in golden.outputs.items()}
    if all(np.array_equal(moved[name], golden.outputs[name]) for name in moved):
        return True  # questions that are answered alike cannot be told apart by anybody
    try:
        golden.compare(moved, tolerance)
    except ExamFailed:
        return True
    return False


def is_row_independent(predict: Predict, rows: Arrays, specs: Sequence[TensorSpec]) -> bool:
    """Is a row's answer the same, bit for bit, whatever else shares its batch?

    Each row is asked first among the others, among copies of itself, and among louder ones. The batch keeps
    its size, and the row its place: kernels sum in another order for another size, by a rounding that is no
    neighbour's doing. `rows`: at least two. Inputs without a batch axis are the same for all of them.
    """
    axes = {spec.name: spec.batch_axis for spec in specs if spec.batch_axis is not None}
    name, axis = next(iter(axes.items()))
    count = rows[name].shape[axis]
    for row in range(count):
        first = {n: np.roll(rows[n], -row, axis=axis) for n, axis in axes.items()}
        copies = {n: np.repeat(first[n].take([0], axis), count, axis) for n, axis in axes.items()}
        loud = {n: _louder(first[n], axis) for n, axis in axes.items()}
        among, *others = (predict({**rows, **batch}) for batch in (first, copies, loud))
        for other in others:
            if not all(np.array_equal(among[n][0], other[n][0], equal_nan=True) for n in among):
                return False
    return True


def _louder(array: Array, axis: int) -> Array:
    """The first row as it is; the others larger where they are floats."""
    if array.dtype.kind != "f":
        return array
    rest = array.take(range(1, array.shape[axis]), axis) * np.asarray(_LOUDER, array.dtype)
    result: Array = np.concatenate((array.take([0], axis), rest), axis)
    return result
