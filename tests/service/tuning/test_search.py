import pytest

from service.tuning.objective import Objective, Slo
from service.tuning.search import Budget, Found, Search
from service.tuning.space import Setting, Shape
from tests.service.tuning.settings import BF16, FP32, INT8, Machine, load, outcome, setting, space

RATES = {FP32: 40.0, INT8: 130.0, BF16: 230.0}


def rate(of: Setting) -> float:
    """One wide session gains 20 %, batches of 4 another 30 %; delays cost, lengths do nothing."""
    factor = 1.2 if of.shape == Shape(1, 2) else 0.6 if of.shape == Shape(1, 1) else 1.0
    factor *= {1: 1.0, 4: 1.3, 8: 1.1}[of.max_batch_size]
    return RATES[of.choice] * factor * (0.9 if of.max_queue_delay_microseconds else 1.0)


BEST = setting(BF16, (1, 2), 4)


def search(
    machine: Machine, time_s: float = 200.0, objective: Objective | None = None
) -> tuple[Found, Search]:
    made = Search(space(), machine, objective or Objective(), Budget(time_s), clock=machine.clock)
    return made.run(), made


def best_of(found: Found) -> Setting:
    return max(found.finals, key=Objective().score).setting


def test_it_finds_the_best_with_a_fraction_of_the_product() -> None:
    machine = Machine(rate)
    found, _ = search(machine)
    assert best_of(found) == BEST
    assert len({of for of, _ in machine.looks}) < space().size / 4
    assert not found.ran_out


def test_the_start_is_looked_at_first_and_stands_among_the_finalists() -> None:
    machine = Machine(rate)
    found, _ = search(machine)
    assert machine.looks[0][0] == space().start
    assert space().start in {final.setting for final in found.finals}


def test_better_choices_are_looked_at_for_longer_and_the_final_looks_are_longest() -> None:
    machine = Machine(rate)
    search(machine)
    longest = {choice: max(s for of, s in machine.looks if of.choice == choice) for choice in RATES}
    assert longest[BF16] >= 2
    assert [s for of, s in machine.looks if of.choice == INT8] == [1.0, 2.0]
    assert machine.looks[-1][1] == max(s for _, s in machine.looks)


def test_finalists_take_turns_and_the_second_round_goes_backwards() -> None:
    machine = Machine(rate)
    found, _ = search(machine)
    count = len(found.finals)
    last = [of for of, _ in machine.looks[-2 * count :]]
    assert last[:count] == last[count:][::-1]


def test_it_is_the_same_every_time() -> None:
    first, second = Machine(rate), Machine(rate)
    assert search(first)[0].rows == search(second)[0].rows
    assert first.looks == second.looks


@pytest.mark.parametrize("time_s", [5.0, 12.0, 30.0, 60.0])
def test_no_look_begins_that_would_not_end_in_time(time_s: float) -> None:
    machine = Machine(rate)
    found, _ = search(machine, time_s)
    assert machine.now_s <= time_s
    assert found.rows
    assert found.ran_out


def test_time_is_kept_for_the_finalists() -> None:
    machine = Machine(rate)
    found, _ = search(machine, 30.0)
    assert found.finals


@pytest.mark.parametrize("time_s", [20.0, 26.0, 32.0, 38.0, 44.0, 50.0])
def test_finalists_are_compared_over_equally_many_rounds_whenever_time_ends(time_s: float) -> None:
    """The start is among them from the second look on."""
    machine = Machine(rate)
    found, _ = search(machine, time_s)
    assert len({final.seconds for final in found.finals}) <= 1
    if len(found.finals) > 1:
        assert space().start in {final.setting for final in found.finals}
        assert best_of(found) != space().start


def test_a_choice_that_cannot_be_served_is_left_at_its_first_look() -> None:
    machine = Machine(rate)
    machine.broken = {BF16: "its exam failed"}
    found, _ = search(machine)
    assert best_of(found).choice == INT8
    assert sum(of.choice == BF16 for of, _ in machine.looks) == 1
    assert [o.failure for o in found.rows if o.failure] == ["its exam failed"]


def test_where_nothing_can_be_served_it_ends_with_the_reasons() -> None:
    machine = Machine(rate)
    machine.broken = dict.fromkeys(RATES, "no memory")
    found, _ = search(machine)
    assert {o.failure for o in found.rows} == {"no memory"}
    assert [o.failure for o in found.finals] in ([], ["no memory"])


@pytest.mark.parametrize("after", [0, 1, 4, 9, 14])
def test_an_interruption_keeps_what_was_found_until_then(after: int) -> None:
    machine = Machine(rate)
    machine.interrupt_after = after
    found, _ = search(machine)
    assert found.was_interrupted
    assert len(found.looks) == after


def test_a_limit_decides_before_throughput() -> None:
    """The widest session alone keeps 20 ms."""
    machine = Machine(rate, lambda of: 15.0 if of.shape == Shape(1, 2) else 40.0)
    found, _ = search(machine, objective=Objective(Slo("p99_ms", 20.0)))
    best = max(found.finals, key=Objective(Slo("p99_ms", 20.0)).score)
    assert best.setting.shape == Shape(1, 2)
    assert best.setting.choice == BF16


def test_gains_within_the_noise_are_not_followed() -> None:
    machine = Machine(lambda of: 100.0 + of.max_batch_size / 8)
    found, _ = search(machine)
    assert not [of for of, _ in machine.looks if of.shape != Shape(2, 1) and of.max_batch_size != 8]
    assert found.finals


def test_a_row_is_the_final_look_else_the_longest() -> None:
    short, longer, final = (
        outcome(setting(), load(rate), seconds=s) for rate, s in ((1, 1), (2, 2), (3, 4))
    )
    other = outcome(setting(INT8), load(9))
    assert Found([short, longer, other], []).rows == [longer, other]
    assert Found([short, longer, other], [final]).rows == [final, other]
