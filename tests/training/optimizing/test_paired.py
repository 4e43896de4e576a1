"""The same items make a difference surer."""

import numpy as np
import pytest

from models.manifest import ConfidenceInterval, Evaluation
from training.metrics import wilson_interval
from training.optimizing.paired import delta_interval


def row(value: float, interval: ConfidenceInterval | None = None) -> tuple[Evaluation, ...]:
    return (
        Evaluation(dataset="d", split="s", metric="m", value=value, interval=interval, samples=200),
    )


def test_items_judged_twice_give_a_narrower_interval_that_holds_the_difference() -> None:
    generator = np.random.default_rng(0)
    before = generator.random(200) < 0.8
    after = before.copy()
    after[:4] = ~after[:4]
    delta = after.mean() - before.mean()
    intervals = wilson_interval(int(before.sum()), 200), wilson_interval(int(after.sum()), 200)
    rows = row(before.mean(), intervals[0]), row(after.mean(), intervals[1])
    paired = delta_interval(*rows, (before, after))
    unpaired = delta_interval(*rows)
    assert paired is not None
    assert unpaired is not None
    assert paired.method == "paired bootstrap-1000"
    assert unpaired.method == "unpaired, from wilson"
    for interval in (paired, unpaired):
        assert interval.low <= delta <= interval.high
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 2


def test_the_same_answers_differ_by_nothing() -> None:
    same = np.array([True, False, True])
    found = delta_interval(row(2 / 3), row(2 / 3), (same, same))
    assert found is not None
    assert (found.low, found.high) == (0, 0)


@pytest.mark.parametrize("rows", [((), ()), (row(0.5), row(0.5))])
def test_without_either_there_is_none(
    rows: tuple[tuple[Evaluation, ...], tuple[Evaluation, ...]],
) -> None:
    assert delta_interval(rows[0], rows[1]) is None
