"""Order, delay, sizes and timeouts of what waits; pure data, times are given."""

from collections import Counter
from dataclasses import replace

import pytest

from models.errors import InferenceFailed
from service.batching.backlog import Backlog, QueueRules
from service.batching.cost import CostCurve
from service.batching.sizing import UNBOUND, Bounds, Sizing
from service.batching.ticket import Ticket
from service.errors import Cancelled, DeadlineExceeded

RULES = QueueRules(most_rows=4)
FREE = Sizing(CostCurve(), 64)


class Waiting(Backlog):
    """A backlog that remembers its tickets by name and its drops by reason."""

    def __init__(self, rules: QueueRules = RULES) -> None:
        self.drops: Counter[str] = Counter()
        super().__init__(rules, lambda reason: self.drops.update([reason]))
        self.names: dict[int, str] = {}

    def add(self, name: str, rows: int = 1, arrived: float = 0.0, **given: object) -> Ticket:
        ticket = Ticket({}, rows, arrived=arrived)
        for attribute, value in given.items():
            setattr(ticket, attribute, value)
        self.names[id(ticket)] = name
        self.push(ticket)
        return ticket

    def next(self, now: float = 0.0, sizing: Sizing = FREE, bounds: Bounds = UNBOUND) -> str:
        return " ".join(self.names[id(ticket)] for ticket in self.take(now, sizing, bounds))

    def all(self, now: float = 0.0, sizing: Sizing = FREE) -> list[str]:
        batches = []
        while batch := self.next(now, sizing):
            batches.append(batch)
        return batches


def test_first_come_first_served_and_never_more_rows_than_a_batch_holds() -> None:
    waiting = Waiting()
    for name, rows in zip("abcde", (1, 2, 2, 4, 1), strict=True):
        waiting.add(name, rows)
    assert waiting.all() == ["a b", "c", "d", "e"]
    assert waiting.rows == 0


def test_a_ticket_larger_than_a_batch_goes_alone() -> None:
    waiting = Waiting()
    waiting.add("huge", 9)
    waiting.add("b")
    assert waiting.all() == ["huge", "b"]


def test_between_shapes_the_one_whose_oldest_ticket_waits_longest_goes_first() -> None:
    waiting = Waiting()
    waiting.add("a", key="small", arrived=2.0)
    waiting.add("b", key="large", arrived=1.0)
    waiting.add("c", key="small", arrived=3.0)
    assert waiting.all() == ["b", "a c"]


# -- priorities ---------------------------------------------------------------------------------------

LEVELS = replace(RULES, levels=3, default_level=2)


def test_a_level_is_served_only_while_all_higher_ones_are_empty() -> None:
    waiting = Waiting(replace(LEVELS, most_rows=2))
    for name, level in (("c1", 3), ("b1", 2), ("c2", 3), ("a1", 1), ("b2", 2), ("a2", 1)):
        waiting.add(name, priority=level)
    assert waiting.all() == ["a1 a2", "b1 b2", "c1 c2"]


def test_lower_levels_fill_what_is_left_of_a_batch() -> None:
    waiting = Waiting(LEVELS)
    for name, level in (("c", 3), ("b", 2), ("a", 1)):
        waiting.add(name, priority=level)
    assert waiting.next() == "a b c"


@pytest.mark.parametrize("asked", [0, -1, 4, 1000])
def test_no_level_or_one_that_does_not_exist_means_the_default(asked: int) -> None:
    waiting = Waiting(replace(LEVELS, most_rows=1))
    for name, level in (("c", 3), ("odd", asked), ("b", 2), ("a", 1)):
        waiting.add(name, priority=level)
    assert waiting.all() == ["a", "odd", "b", "c"]


def test_the_shape_of_the_most_urgent_ticket_goes_first_however_old_the_others_are() -> None:
    waiting = Waiting(LEVELS)
    waiting.add("old", key="small", priority=3, arrived=1.0)
    waiting.add("urgent", key="large", priority=1, arrived=9.0)
    assert waiting.all(now=10.0) == ["urgent", "old"]


def test_without_levels_a_priority_changes_nothing() -> None:
    waiting = Waiting()
    waiting.add("a", priority=9)
    waiting.add("b", priority=1)
    assert waiting.next() == "a b"


# -- delay and preferred sizes ------------------------------------------------------------------------

DELAYED = replace(RULES, most_rows=8, delay_s=1.0)


def test_the_delay_runs_from_the_oldest_and_no_arrival_moves_it() -> None:
    waiting = Waiting(DELAYED)
    waiting.add("a", arrived=10.0)
    assert waiting.ready_at(10.0) == 11.0
    waiting.add("b", arrived=10.9)
    assert waiting.ready_at(10.9) == 11.0
    assert waiting.next(now=10.99) == ""
    assert waiting.next(now=11.0) == "a b"


def test_a_full_batch_goes_at_once_whichever_shape_is_older() -> None:
    waiting = Waiting(DELAYED)
    waiting.add("old", key="small", arrived=1.0)
    for number in range(8):
        waiting.add(f"{number}", key="large", arrived=1.5)
    assert waiting.ready_at(1.5) == 1.5
    assert waiting.next(now=1.5) == "0 1 2 3 4 5 6 7"
    assert waiting.next(now=1.5) == ""


def test_while_the_delay_runs_the_largest_preferred_size_goes_at_once_and_the_rest_waits() -> None:
    waiting = Waiting(replace(DELAYED, preferred=(2, 4)))
    waiting.add("a")
    assert waiting.ready_at(0.0) == 1.0
    for name in "bcdef":
        waiting.add(name)
    assert waiting.all(now=0.0) == ["a b c d", "e f"]


def test_a_preferred_size_must_be_met_exactly() -> None:
    waiting = Waiting(replace(DELAYED, preferred=(4,)))
    waiting.add("a", 3)
    waiting.add("b", 2)
    assert waiting.next(now=0.5) == ""
    assert waiting.next(now=1.0) == "a b", "after the delay, whatever waits"


def test_somebody_who_left_counts_neither_for_the_delay_nor_for_the_size() -> None:
    waiting = Waiting(replace(DELAYED, preferred=(2,)))
    waiting.add("a", arrived=1.0).cancel()
    waiting.add("b", arrived=2.0)
    assert waiting.ready_at(2.0) == 3.0
    assert waiting.next(now=2.5) == ""


def test_nobody_waits_for_company_when_the_model_is_closing() -> None:
    waiting = Waiting(DELAYED)
    waiting.add("a")
    waiting.is_closing = True
    assert waiting.next(now=0.0) == "a"


# -- leaving ------------------------------------------------------------------------------------------


def test_whoever_leaves_frees_the_rows_at_once_and_is_counted_once() -> None:
    waiting = Waiting()
    stays, left = waiting.add("a", 2), waiting.add("b", 3)
    left.cancel()
    left.fail(InferenceFailed("late"))
    assert waiting.rows == 2
    assert waiting.drops == {Cancelled.reason: 1}
    assert waiting.next() == "a"
    assert not stays.is_done


def test_the_late_are_told_and_counted_by_a_look_and_by_a_sweep() -> None:
    waiting = Waiting()
    tickets = [waiting.add("a", deadline=1.0), waiting.add("b", deadline=2.0), waiting.add("c")]
    assert waiting.next(now=1.5) == "b c"
    assert isinstance(tickets[0].error, DeadlineExceeded)
    late = waiting.add("d", deadline=3.0)
    waiting.purge(now=3.0)
    assert isinstance(late.error, DeadlineExceeded)
    assert (waiting.rows, waiting.drops) == (0, {DeadlineExceeded.reason: 2})


def test_the_entries_of_the_departed_do_not_pile_up_behind_one_who_waits() -> None:
    waiting = Waiting()
    waiting.add("stays")
    for _ in range(100):
        waiting.add("left").cancel()
    waiting.purge(now=0.0)
    (group,) = waiting._groups.values()
    assert sum(map(len, group._lines)) == 1


def test_when_everybody_fails_nothing_is_left() -> None:
    waiting = Waiting()
    tickets = [waiting.add(name, key=name) for name in "abc"]
    waiting.fail_all(InferenceFailed("dead"))
    assert all(isinstance(ticket.error, InferenceFailed) for ticket in tickets)
    assert (waiting.rows, waiting.work, waiting.ready_at(0.0)) == (0, 0.0, None)


# -- the queue's own timeout --------------------------------------------------------------------------


def test_reject_refuses_who_has_waited_too_long() -> None:
    waiting = Waiting()
    late = waiting.add("late", queue_until=1.0)
    waiting.add("b")
    assert waiting.next(now=1.0) == "b"
    assert isinstance(late.error, DeadlineExceeded)


def test_delay_serves_them_behind_all_others_of_their_level_but_ahead_of_the_next() -> None:
    waiting = Waiting(replace(LEVELS, most_rows=1, delays_late=True))
    waiting.add("late", priority=2, queue_until=1.0)
    waiting.add("in time", priority=2, queue_until=9.0)
    waiting.add("low", priority=3)
    assert waiting.all(now=2.0) == ["in time", "late", "low"]


def test_delay_never_starves_a_request_that_nobody_overtakes() -> None:
    waiting = Waiting(replace(RULES, delays_late=True))
    waiting.add("late", queue_until=1.0)
    assert waiting.next(now=100.0) == "late"


def test_a_deadline_ends_also_those_whom_delay_keeps() -> None:
    waiting = Waiting(replace(RULES, delays_late=True))
    waiting.add("a", queue_until=1.0, deadline=2.0)
    assert waiting.next(now=2.0) == ""
    assert waiting.drops == {DeadlineExceeded.reason: 1}


# -- shares and padding -------------------------------------------------------------------------------


def test_a_batch_takes_no_more_work_than_its_share_but_always_one_ticket() -> None:
    waiting = Waiting()
    for name in "abcd":
        waiting.add(name)
    assert waiting.next(bounds=Bounds(most_work=2.0)) == "a b"
    assert waiting.next(bounds=Bounds(most_work=0.5)) == "c"


def spare(padding: float) -> Sizing:
    """Of a model whose runs save four times as much as so much padding costs."""
    curve = CostCurve()
    unit_s = 1e-3
    for rows, length in ((1, 8.0), (2, 16.0), (1, 64.0), (4, 8.0)) * 8:
        curve.record(rows, length, 4 * padding * unit_s + unit_s * rows * length)
    assert curve.is_known
    return Sizing(curve, 64)


def texts(*lengths: int, rules: QueueRules = RULES, rows: int = 1) -> Waiting:
    waiting = Waiting(rules)
    for length in lengths:
        waiting.add(f"{length}", rows, lengths=(length,), work=float(rows * length))
    return waiting


def test_until_costs_are_known_a_fifth_of_padding_is_taken() -> None:
    assert texts(100, 10, 95, 90, 9).all() == ["100 95 90", "10 9"]


def test_padding_is_worth_what_the_saved_run_costs() -> None:
    lengths = (10, 14, 40)
    assert texts(*lengths).all(sizing=spare(5.0)) == ["10 14", "40"]
    assert texts(*lengths).all(sizing=spare(60.0)) == ["10 14 40"]
    assert texts(*lengths).all(sizing=spare(0.0)) == ["10", "14", "40"]


def test_the_first_in_line_is_always_served_and_the_most_similar_join_it() -> None:
    waiting = texts(50, 90, 52, 47, 51, 49)
    assert waiting.next(sizing=spare(10.0)) == "50 51 49 52"
    assert waiting.next(sizing=spare(10.0)) == "90", "47 would bring 43 of padding"


def test_padded_tokens_are_bounded() -> None:
    waiting = texts(100, 100, 90, 100, rules=replace(RULES, most_tokens=250))
    assert waiting.all() == ["100 100", "90 100"]


def test_two_paddable_axes_are_padded_to_an_area() -> None:
    waiting = Waiting()
    for name, lengths in (("wide", (10, 200)), ("tall", (200, 10)), ("like", (11, 190))):
        waiting.add(name, lengths=lengths, work=float(lengths[0] * lengths[1]))
    assert waiting.all(sizing=spare(400.0)) == ["wide like", "tall"]


def test_urgent_tickets_come_before_similar_ones() -> None:
    waiting = Waiting(replace(LEVELS, most_rows=2))
    for name, length, level in (("a", 50, 1), ("alike", 50, 2), ("urgent", 60, 1)):
        waiting.add(name, lengths=(length,), work=float(length), priority=level)
    assert waiting.next(sizing=spare(100.0)) == "a urgent"
