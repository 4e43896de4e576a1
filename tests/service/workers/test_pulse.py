"""What a worker is doing can be read by others, also when it cannot be asked any more."""

import os

import pytest

from service.workers.pulse import BATCH_LANE, LOAD_LANE, PULSE_BYTES, Lane, Pulse


@pytest.fixture
def sides() -> tuple[Pulse, Pulse]:
    """The worker's and the front end's."""
    worker = Pulse.create()
    return worker, Pulse(os.dup(worker.descriptor))


def test_what_begins_is_seen_until_it_ends(sides: tuple[Pulse, Pulse]) -> None:
    worker, seen = sides
    assert seen.everything() == []
    worker.begin(BATCH_LANE, handle=3, connection=1, ident=1 << 40)
    worker.begin(LOAD_LANE, handle=4)
    batch, load = seen.everything()
    assert (batch.lane, batch.handle, batch.connection, batch.ident) == (BATCH_LANE, 3, 1, 1 << 40)
    assert load.handle == 4
    assert 0 <= load.began - batch.began < 60
    worker.end(BATCH_LANE)
    assert seen.doing(BATCH_LANE) is None
    assert seen.doing(LOAD_LANE) == load


def test_ends_are_counted_once(sides: tuple[Pulse, Pulse]) -> None:
    worker, seen = sides
    worker.begin(BATCH_LANE, handle=1)
    for _ in range(3):
        worker.end(BATCH_LANE)
    assert seen.ended == 1


def test_beats_are_seen(sides: tuple[Pulse, Pulse]) -> None:
    worker, seen = sides
    before = seen.beats
    worker.beat()
    assert (before, seen.beats) == (0, 1)


def test_generation_threads_have_lanes_of_their_own(sides: tuple[Pulse, Pulse]) -> None:
    worker, seen = sides
    lanes = [Lane(worker, handle) for handle in range(1, 100)]
    for lane in lanes:
        lane.begin()  # those beyond the last lane are not watched, and not in the way
    handles = [doing.handle for doing in seen.everything()]
    assert handles == list(range(1, len(handles) + 1))
    assert len(handles) > 50
    lanes[0].give_back()
    again = Lane(worker, 500)
    again.begin()
    assert 500 in {doing.handle for doing in seen.everything()}


def test_a_worker_gone_mad_cannot_pull_the_memory_away(sides: tuple[Pulse, Pulse]) -> None:
    worker, seen = sides
    with pytest.raises(PermissionError):
        os.ftruncate(worker.descriptor, 0)
    assert os.fstat(seen.descriptor).st_size == PULSE_BYTES


def test_it_can_be_read_after_its_descriptor_was_given_back(sides: tuple[Pulse, Pulse]) -> None:
    worker, seen = sides
    worker.begin(BATCH_LANE, handle=9)
    seen.close()
    seen.close()
    assert [doing.handle for doing in seen.everything()] == [9]
