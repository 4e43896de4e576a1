"""Deadlines: named once, in time, and forgotten with their requests."""

import math

from service.generation.deadlines import Deadlines
from service.generation.row import Row
from tests.service.generation.test_waiting import row


def due(number: int, deadline_s: float) -> Row:
    entry = row(number)
    entry.deadline_s = deadline_s
    return entry


def test_each_is_named_once_when_its_time_is_over() -> None:
    deadlines = Deadlines()
    for number, moment in enumerate((5.0, 2.0, 9.0, math.inf)):
        deadlines.add(due(number, moment))
    assert [r.request_id for r in deadlines.over(1.0)] == []
    assert [r.request_id for r in deadlines.over(5.0)] == [1, 0]
    assert [r.request_id for r in deadlines.over(8.0)] == []
    assert [r.request_id for r in deadlines.over(1e9)] == [2]


def test_who_has_ended_is_not_named() -> None:
    deadlines = Deadlines()
    entry = due(0, 1.0)
    deadlines.add(entry)
    entry.ended = True
    assert deadlines.over(2.0) == []


def test_ended_requests_are_not_kept_until_a_deadline_far_away() -> None:
    deadlines = Deadlines()
    for number in range(10_000):
        entry = due(number, 1e9)
        deadlines.add(entry)
        entry.ended = True
    assert len(deadlines) <= 130
