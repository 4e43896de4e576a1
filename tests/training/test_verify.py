"""Verification notices every way in which a graph can answer otherwise than torch."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.training.fake_work import plan_for, prepared, silent_reporter
from training.errors import GateFailed
from training.verify import compare, sizes, verify
from training.work import Array, Arrays, Predict


def answering(change: float = 0.0, *, only_batch: int | None = None) -> Predict:
    def predict(inputs: Mapping[str, Array]) -> Arrays:
        rows = inputs["point"]
        wrong = change if only_batch in (None, len(rows)) else 0.0
        return {"logits": rows[:, :2] + np.float32(wrong)}

    return predict


def test_equal_answers_pass_and_the_gate_records_the_worst_difference() -> None:
    work = prepared()
    report, text = silent_reporter()
    plan = plan_for(work.lightning_module().network)
    gate = verify(work, plan, answering(), answering(2e-5), report)
    assert gate.passed
    assert 1e-5 < gate.measured <= gate.limit
    assert text.getvalue().count("passed") == 3


def test_a_difference_at_one_batch_size_fails_the_run_after_the_table() -> None:
    work = prepared()
    report, text = silent_reporter()
    plan = plan_for(work.lightning_module().network)
    with pytest.raises(GateFailed, match="nothing was published"):
        verify(work, plan, answering(), answering(0.1, only_batch=5), report)
    assert text.getvalue().count("FAILED") == 1
    assert text.getvalue().count("passed") == 2


def test_a_graph_that_cannot_run_at_a_size_fails_instead_of_crashing() -> None:
    def refuse(_: Mapping[str, Array]) -> Arrays:
        raise RuntimeError("axis 0 is fixed\nand more")

    row = compare(prepared().sample_inputs(5, None), answering(), refuse, (5, None))
    assert row.difference == np.inf
    assert row.problem == "(axis 0 is fixed)"


def test_other_shapes_and_nan_are_infinite_differences() -> None:
    inputs = prepared().sample_inputs(3, None)
    row = compare(inputs, answering(), lambda _: {"logits": np.zeros((1, 2))}, (3, None))
    assert row.difference == np.inf
    row = compare(inputs, answering(), answering(float("nan")), (3, None))
    assert row.difference == np.inf


def test_every_batch_size_meets_every_length() -> None:
    plan = plan_for(prepared().lightning_module().network, lengths=(4, 9, 30))
    assert len(set(sizes(plan))) == 9
