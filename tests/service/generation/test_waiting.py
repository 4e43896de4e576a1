"""The queue: important first, first come first served, and nobody waits for ever."""

import numpy as np

from service.generation.request import SamplingParams
from service.generation.row import Row
from service.generation.sampling import RowSampler
from service.generation.waiting import PATIENCE_S, WaitingQueue


def row(number: int, level: int = 0, arrived_s: float = 0.0) -> Row:
    return Row(
        request_id=number,
        prompt=np.array([1, 2], np.int64),
        limit=4,
        sampler=RowSampler(SamplingParams(), 0),
        stop=frozenset(),
        level=level,
        arrived_s=arrived_s,
    )


def drain(queue: WaitingQueue) -> list[int]:
    return [queue.pop().request_id for _ in range(len(queue))]


def test_equal_requests_leave_in_the_order_of_their_arrival() -> None:
    queue = WaitingQueue()
    for number in range(5):
        queue.push(row(number, arrived_s=1.0))
    assert drain(queue) == [0, 1, 2, 3, 4]


def test_a_lower_number_goes_first_and_equals_stay_in_order() -> None:
    queue = WaitingQueue()
    for number, level in enumerate((3, 1, 2, 1, 3)):
        queue.push(row(number, level, arrived_s=number * 0.1))
    assert drain(queue) == [1, 3, 2, 0, 4]


def test_a_flood_of_urgent_requests_does_not_starve_the_others() -> None:
    queue = WaitingQueue()
    queue.push(row(0, level=2))
    overtaken = 0
    for second in range(100):  # one urgent request comes and one is served, each second
        queue.push(row(second + 1, level=1, arrived_s=second))
        if queue.pop().request_id == 0:
            break
        overtaken += 1
    assert overtaken == PATIENCE_S


def test_a_row_that_ends_while_it_waits_is_passed_over_and_not_counted() -> None:
    queue = WaitingQueue()
    rows = [row(number) for number in range(3)]
    for entry in rows:
        queue.push(entry)
    rows[0].ended = True
    queue.left(rows[0])
    assert len(queue) == 2
    assert drain(queue) == [1, 2]
    assert queue.head() is None


def test_rows_that_have_left_are_forgotten_without_being_reached() -> None:
    queue = WaitingQueue()
    queue.push(row(0))
    for number in range(1, 1000):
        gone = row(number)
        queue.push(gone)
        gone.ended = True
        queue.left(gone)
    assert len(queue._heap) < 100
    assert drain(queue) == [0]


def test_the_newest_of_the_least_important_makes_room() -> None:
    queue = WaitingQueue()
    for number, level in enumerate((1, 3, 3, 2)):
        queue.push(row(number, level, arrived_s=number))
    found = queue.newest_below(1)
    assert found is not None
    assert found.request_id == 2
    assert queue.newest_below(3) is None
