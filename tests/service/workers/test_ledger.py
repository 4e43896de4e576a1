"""A model that cannot fit is refused with the numbers; what fits, and what was given back, is not."""

import pytest

from models.runtimes.base import LoadOutOfMemory
from service.workers import ledger as module
from service.workers.base import ModelKey
from service.workers.footprint import Footprint
from service.workers.ledger import MemoryLedger, Need, Room, room_of

MIB = 1 << 20
A, B, C = ModelKey("a", 1), ModelKey("b", 1), ModelKey("c", 2)


class Machine:
    """`limit` MiB, of which workers occupy what they do; `other` programs take the rest."""

    def __init__(self, limit: int = 1000) -> None:
        self.limit = limit
        self.other = 0
        self.workers = {1: 50, 2: 50}
        self.ledger = MemoryLedger(self.room, lambda: {p: s * MIB for p, s in self.workers.items()})
        for pid, size in self.workers.items():
            self.ledger.saw(pid, size * MIB)

    def room(self) -> Room:
        used = sum(self.workers.values()) + self.other
        return Room((self.limit - used) * MIB, self.limit * MIB)

    def load(self, key: ModelKey, footprint: Footprint, copies: int = 2, rows: int = 8) -> None:
        need = Need.of(key, footprint, copies, rows)
        self.ledger.check(need)
        with self.ledger.coming(need):
            for pid in list(self.workers)[:copies]:
                self.workers[pid] += footprint.loaded_bytes // MIB
        self.ledger.loaded(key, footprint, copies, rows)


def of(loaded: int, peak: int = 0, opening: int = 0, promised: int = 0) -> Footprint:
    """MiB; the peak is that of eight rows."""
    peaks = ((8, peak * MIB),) if peak else ()
    return Footprint(0, loaded * MIB, opening * MIB, promised * MIB, peaks)


def test_what_fits_is_loaded_and_what_does_not_is_refused_with_the_numbers() -> None:
    machine = Machine()
    machine.load(A, of(100, peak=150))
    with pytest.raises(LoadOutOfMemory) as refusal:
        machine.load(B, of(200, peak=310))
    assert refusal.value.message == (
        "b/1 needs 620 MiB (2 workers, 310 MiB each with batches of 8); 700 MiB of 1,000 MiB are free, "
        "100 MiB of that set aside for larger batches; loaded: a/1 300 MiB. Give the server more memory, "
        "fewer --workers or smaller batches (--max-batch-size)"
    )
    assert refusal.value.reason == "oom"
    machine.load(B, of(200, peak=300), copies=1)


def test_exactly_what_is_free_fits() -> None:
    machine = Machine()
    machine.load(A, of(450))
    with pytest.raises(LoadOutOfMemory):
        machine.load(B, of(1))


def test_what_batches_have_taken_meanwhile_is_not_set_aside_twice() -> None:
    machine = Machine()
    machine.load(A, of(100, peak=200))
    assert machine.ledger.free_bytes() == (1000 - 100 - 200 - 200) * MIB
    machine.workers = {1: 250, 2: 250}  # every worker ran its largest batch
    assert machine.ledger.reserved_bytes() == 0
    assert machine.ledger.free_bytes() == 500 * MIB


def test_what_other_programs_take_is_gone() -> None:
    machine = Machine()
    machine.other = 700
    with pytest.raises(LoadOutOfMemory, match="200 MiB of 1,000 MiB are free"):
        machine.load(A, of(150))


def test_memory_of_an_unloaded_model_is_free_again() -> None:
    machine = Machine()
    machine.load(A, of(400))
    machine.ledger.forget(A)
    machine.workers = {1: 50, 2: 50}
    machine.load(B, of(450))
    assert A not in machine.ledger


def test_a_model_that_is_just_being_loaded_counts() -> None:
    machine = Machine()
    need = Need.of(A, of(300), 2, 1)
    with machine.ledger.coming(need):
        with pytest.raises(LoadOutOfMemory):
            machine.ledger.check(Need.of(B, of(200), 2, 1))
        machine.ledger.check(Need.of(B, of(150), 2, 1))
    machine.ledger.check(Need.of(B, of(450), 2, 1))


def test_opening_may_take_more_than_running() -> None:
    machine = Machine()
    with pytest.raises(LoadOutOfMemory, match="2 workers, 500 MiB each"):
        machine.load(A, of(200, opening=500))


def test_keys_and_values_that_requests_may_need_are_set_aside() -> None:
    machine = Machine()
    machine.load(A, of(100, promised=500), copies=1, rows=1)
    assert machine.ledger[A].promised_bytes == 600 * MIB
    with pytest.raises(LoadOutOfMemory, match="500 MiB of that set aside"):
        machine.load(B, of(201), copies=2)


def test_a_wide_session_counts() -> None:
    machine = Machine()
    machine.load(A, of(100))
    machine.ledger.widened(A, 100 * MIB)
    machine.workers[1] += 100
    assert machine.ledger[A].taken_bytes == 300 * MIB
    assert machine.ledger.free_bytes() == 600 * MIB
    machine.ledger.widened(C, 5)
    assert C not in machine.ledger, "it was unloaded meanwhile"


def test_a_worker_that_was_replaced_is_not_taken_for_a_grown_one() -> None:
    machine = Machine()
    machine.load(A, of(100, peak=200))
    machine.workers = {2: 150, 3: 150}
    machine.ledger.saw(3, 50 * MIB)
    assert machine.ledger.reserved_bytes() == 200 * MIB


def test_before_it_is_opened_its_files_must_fit() -> None:
    machine = Machine()
    machine.ledger.require(A, 900 * MIB)
    with pytest.raises(
        LoadOutOfMemory, match="needs at least 901 MiB to be opened; 900 MiB of 1,000"
    ):
        machine.ledger.require(A, 901 * MIB)


def test_where_nobody_can_tell_nobody_is_refused() -> None:
    ledger = MemoryLedger(lambda: Room(0, 0))
    ledger.require(A, 1 << 60)
    ledger.check(Need.of(A, of(1 << 30), 4, 8))


def test_the_largest_are_named_and_the_rest_counted() -> None:
    machine = Machine()
    for number in range(7):
        machine.load(ModelKey(f"m{number}", 1), of(10 + number))
    with pytest.raises(
        LoadOutOfMemory, match=r"loaded: m6/1 32 MiB, m5/1 .* m2/1 24 MiB and 2 more\."
    ):
        machine.load(A, of(900))


@pytest.mark.parametrize(
    ("wanted", "free", "limit"), [(0, 700, 1000), (400, 300, 400), (90, 0, 90), (5000, 700, 1000)]
)
def test_the_operators_limit_counts_what_the_server_itself_occupies(
    wanted: int, free: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_bytes", lambda: 700)
    monkeypatch.setattr(module, "limit_bytes", lambda: 1000)
    monkeypatch.setattr(module, "private_bytes", {7: 40, 8: 60}.__getitem__)
    assert room_of(wanted, lambda: [7, 8]) == Room(free, limit)
