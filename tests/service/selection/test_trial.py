"""Candidates are timed in turns, within the time that they may take; one that fails harms no other."""

import json
from pathlib import Path

import pytest

from models.bundle import Bundle
from service.selection.choice import Choice
from service.selection.trial import Comparing, Comparison, Trial
from service.selection.workload import workloads
from tests.service import graphs
from tests.service.selection.fakes import ALONE, BASE, FAST, FASTER, SLOW, World

QUICK, MIDDLE, LONG = (0.001, 0.001), (0.002, 0.002), (0.010, 0.010)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Batches of up to 8."""
    root = tmp_path_factory.mktemp("trial")
    return graphs.doubler().publish(root / "repository", "double", root)


def compare(
    world: World, bundle: Bundle, *rivals: Choice, time_s: float = 10.0, waited: float = 0.0
) -> Comparison:
    comparing = Comparing(
        world.open,
        world.examine,
        time_s=time_s,
        clock=world.clock,
        waited_s=lambda: waited * world.clock.now,
    )
    return comparing.compare(bundle, BASE, rivals)


def test_every_candidate_gets_its_best_time_at_both_sizes(bundle: Bundle) -> None:
    world = World({BASE: LONG, FAST: MIDDLE})
    base, fast = compare(world, bundle, FAST).trials
    assert base.best_ms == pytest.approx({"batch 1": 20, "batch 8": 90})
    assert fast.best_ms == pytest.approx({"batch 1": 4, "batch 8": 18})
    assert fast.gain_over(base) == pytest.approx(5)
    assert all(session.is_closed for session in world.opened.values())


def test_one_that_fails_is_out_with_its_reason_and_the_others_go_on(bundle: Bundle) -> None:
    world = World({BASE: LONG, FAST: QUICK, FASTER: QUICK, SLOW: LONG})
    world.failing, world.broken = {FAST}, {SLOW}
    found = {trial.choice: trial for trial in compare(world, bundle, FAST, SLOW, FASTER).trials}
    assert (found[FAST].kind, found[SLOW].kind) == ("exam", "error")
    assert "too far off" in found[FAST].error
    assert found[FAST].gain_over(found[BASE]) == 0
    assert found[FASTER].gain_over(found[BASE]) > 1
    assert all(session.is_closed for session in world.opened.values())


def test_rows_that_depend_on_each_other_are_timed_one_by_one(bundle: Bundle) -> None:
    world = World({BASE: LONG, ALONE: MIDDLE})
    _, alone = compare(world, bundle, ALONE).trials
    assert set(world.opened[ALONE].rows) == {1}
    assert alone.best_ms == pytest.approx({"batch 1": 4, "batch 8": 32})


def test_a_run_that_is_short_already_is_not_compared(bundle: Bundle) -> None:
    world = World({BASE: (0.0001, 0.0003), FAST: QUICK})
    found = compare(world, bundle, FAST)
    assert [trial.choice for trial in found.trials] == [BASE]
    assert FAST not in world.opened
    world = World({BASE: (0.0, 0.0006), FAST: QUICK})
    assert len(compare(world, bundle, FAST).trials) == 2


def test_what_cannot_win_any_more_is_not_run_on(bundle: Bundle) -> None:
    world = World({BASE: LONG, FAST: QUICK, FASTER: QUICK, SLOW: MIDDLE})
    compare(world, bundle, FAST, FASTER, SLOW)
    runs = {choice: len(session.rows) for choice, session in world.opened.items()}
    assert runs[FAST] == runs[FASTER] > 20
    assert runs[BASE] < 10
    assert runs[SLOW] < 10


def test_the_time_ends_it_and_what_was_not_tried_is_counted(bundle: Bundle) -> None:
    world = World({BASE: LONG, FAST: MIDDLE, FASTER: QUICK, SLOW: LONG}, open_s=1.0)
    found = compare(world, bundle, FAST, FASTER, SLOW, time_s=3.0)
    assert found.untried == 2
    assert [trial.choice for trial in found.trials] == [BASE, FAST]
    assert world.clock.now < 4.0


def test_a_batch_that_takes_too_long_is_left_out(bundle: Bundle) -> None:
    world = World({BASE: (0.1, 0.2), FAST: MIDDLE})
    base, fast = compare(world, bundle, FAST, time_s=10.0).trials
    assert list(base.best_ms) == list(fast.best_ms) == ["batch 1"]


def test_other_work_on_the_machine_is_noticed(bundle: Bundle) -> None:
    calm = compare(World({BASE: LONG, FAST: MIDDLE}), bundle, FAST)
    busy = compare(World({BASE: LONG, FAST: MIDDLE}), bundle, FAST, waited=0.5)
    assert (calm.is_disturbed, busy.is_disturbed) == (False, True)


def test_without_an_exam_and_without_sizes_there_is_nothing_to_measure(tmp_path: Path) -> None:
    made = graphs.identity()
    made.inputs = (graphs.spec("x", made.inputs[0].dtype, ["batch", "width"]),)
    made.sample = None
    bundle = made.publish(tmp_path / "repository", "vague", tmp_path)
    assert workloads(bundle) == []
    [base] = compare(World({BASE: LONG, FAST: QUICK}), bundle, FAST).trials
    assert base == Trial(BASE)


def test_a_comparison_crosses_as_json(bundle: Bundle) -> None:
    world = World({BASE: LONG, FAST: MIDDLE, SLOW: LONG})
    world.failing = {SLOW}
    found = compare(world, bundle, FAST, SLOW)
    assert Comparison.from_json(json.loads(json.dumps(found.to_json()))) == found
