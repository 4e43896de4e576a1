"""One caller floods, the others do not notice: order of service, who is refused, and simulated loads of
ten to one."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest

from models.manifest import Batching
from service.batching.backlog import Backlog, QueueRules
from service.batching.batcher import Batcher
from service.batching.cost import CostCurve
from service.batching.fairness import FairShares
from service.batching.limits import BatchLimits, limits_of
from service.batching.sizing import Sizing
from service.batching.ticket import Ticket
from service.errors import QueueFull, QuotaExceeded
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.manifests import vector
from tests.service.virtual_time import run_virtually

RUN_S = 0.005
CAPACITY = 2 / RUN_S
SIZING = Sizing(CostCurve(), 1)
LIMITS = limits_of(Batching(max_batch_size=1), workers=2)


def order(*callers: str) -> str:
    """Tickets of these callers, one after the other, in the order in which they are served."""
    backlog = Backlog(QueueRules(most_rows=1))
    for number, caller in enumerate(callers):
        backlog.push(Ticket({}, 1, arrived=float(number), caller=caller))
    served = []
    while batch := backlog.take(0.0, SIZING):
        served += [str(ticket.caller) for ticket in batch]
    assert not backlog.callers.rows, "nobody is remembered"
    return "".join(served)


def test_callers_take_turns_however_much_each_has_sent() -> None:
    assert order(*"aaaaabbc") == "abcabaaa"


def test_one_caller_alone_is_served_in_order() -> None:
    assert order(*"aaa") == "aaa"


def test_who_was_away_has_no_claim_on_the_past() -> None:
    backlog = Backlog(QueueRules(most_rows=1))
    for number in range(50):
        backlog.push(Ticket({}, 1, arrived=float(number), caller="a"))
    for _ in range(40):
        backlog.take(0.0, SIZING)
    for number in range(3):
        backlog.push(Ticket({}, 1, arrived=50.0 + number, caller="b"))
    next_six = [backlog.take(0.0, SIZING)[0].caller for _ in range(6)]
    assert sorted(map(str, next_six)) == ["a", "a", "a", "b", "b", "b"]


def test_large_requests_count_by_their_rows() -> None:
    shares = FairShares()
    large, small = (Ticket({}, rows, arrived=0.0, caller="a") for rows in (10, 1))
    other = Ticket({}, 1, arrived=1.0, caller="b")
    for ticket in (large, small, other):
        shares.joined(ticket)
    assert (large.turn, other.turn, small.turn) == (0.0, 0.0, 10.0)
    assert shares.rows_ahead("b", rows=1) == 1 + 2


@dataclass
class Tenants:
    """Callers that send at their own rates, whatever becomes of it; service times are fixed."""

    rates: dict[str, float]
    limits: BatchLimits = LIMITS
    seconds: float = 20.0
    are_told_apart: bool = True
    waits_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refusals: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    most_waiting: int = 0

    def play(self) -> "Tenants":
        run_virtually(self._play())
        return self

    def p99_s(self, caller: str) -> float:
        return float(np.quantile(self.waits_s[caller], 0.99))

    def answered_share(self, caller: str) -> float:
        good, bad = len(self.waits_s[caller]), len(self.refusals[caller])
        return good / (good + bad)

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()

        async def run(inputs: Arrays) -> RunResult:
            await asyncio.sleep(RUN_S * len(inputs["x"]))
            return RunResult({"y": inputs["x"]}, RUN_S)

        batcher = Batcher(run, vector(2), self.limits, ModelMeters("m", 1), loop.time)
        ends = loop.time() + self.seconds

        async def send(caller: str, rate: float, chance: random.Random) -> None:
            while loop.time() < ends:
                await asyncio.sleep(chance.expovariate(rate))
                self._ask(batcher, caller, loop)
                self.most_waiting = max(self.most_waiting, batcher.pending_rows)

        senders = [send(caller, rate, random.Random(caller)) for caller, rate in self.rates.items()]
        await asyncio.gather(*senders)
        await batcher.close()

    def _ask(self, batcher: Batcher, caller: str, loop: asyncio.AbstractEventLoop) -> None:
        def ended(ticket: Ticket) -> None:
            if ticket.error is None:
                self.waits_s[caller].append(loop.time() - ticket.arrived)
            else:
                self.refusals[caller].append(ticket.error.reason)

        key = caller if self.are_told_apart else None
        try:
            batcher.enqueue(
                {"x": np.zeros((1, 2), np.float32)},
                1,
                deadline=loop.time() + 30.0,
                caller=key,
                on_done=ended,
            )
        except (QueueFull, QuotaExceeded) as error:
            self.refusals[caller].append(error.reason)


def test_ten_to_one_leaves_the_other_its_answers_and_the_speed_of_its_share() -> None:
    half_the_server = limits_of(Batching(max_batch_size=1), workers=1)
    share = Tenants({"quiet": 0.3 * CAPACITY}, half_the_server).play()
    busy = Tenants({"quiet": 0.95 * CAPACITY}).play()
    both = Tenants({"quiet": 0.3 * CAPACITY, "loud": 3.0 * CAPACITY}).play()
    assert both.answered_share("quiet") == 1.0
    assert both.p99_s("quiet") <= 1.5 * share.p99_s("quiet")
    assert both.p99_s("quiet") <= busy.p99_s("quiet")
    assert set(both.refusals["loud"]) <= {"quota", "queue_full"}
    assert "quota" in both.refusals["loud"]
    answered = sum(map(len, both.waits_s.values()))
    assert answered >= 0.95 * CAPACITY * both.seconds, "the loud one gets what is left"


def test_without_telling_them_apart_the_quiet_one_suffers() -> None:
    """What the shares are good for: the same load without them."""
    both = Tenants({"quiet": 0.3 * CAPACITY, "loud": 3.0 * CAPACITY}, are_told_apart=False).play()
    assert both.answered_share("quiet") < 0.5


def test_several_who_flood_share_what_there_is_and_are_told_that_the_server_is_full() -> None:
    rates = {"a": CAPACITY, "b": 2 * CAPACITY, "c": 3 * CAPACITY}
    loads = Tenants(rates).play()
    counts = [len(loads.waits_s[caller]) for caller in rates]
    assert max(counts) <= 1.15 * min(counts)


def test_a_caller_alone_may_use_the_whole_server() -> None:
    load = Tenants({"only": 3.0 * CAPACITY}).play()
    assert len(load.waits_s["only"]) >= 0.95 * CAPACITY * load.seconds
    assert set(load.refusals["only"]) == {"queue_full"}


@pytest.mark.parametrize("count", [200])
def test_many_quiet_callers_beside_one_that_floods(count: int) -> None:
    rates = {f"quiet-{number}": 0.5 * CAPACITY / count for number in range(count)}
    load = Tenants({**rates, "loud": 5 * CAPACITY}, seconds=5.0).play()
    shares = [load.answered_share(caller) for caller in rates if load.waits_s[caller]]
    assert min(shares) == 1.0
    within_the_wait = CAPACITY * LIMITS.max_queue_wait_s
    assert load.most_waiting <= 1.2 * max(LIMITS.least_queue_rows, within_the_wait)
