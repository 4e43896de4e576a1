"""More comes than can be served: refusals are quick and say when to return, what was accepted is answered,
and when the load falls everything is as before."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.callers import Crowd, infer
from tests.faults.conftest import port_of
from tests.faults.ledger import Ledger, total
from tests.service.conftest import ServerProcess, running
from tests.service.loops import in_loop

QUICK = infer("quick")
QUEUE_ROWS = 20


@pytest.fixture(scope="module")
def small(repository: Path) -> Iterator[ServerProcess]:
    """One worker, a short queue, callers told apart."""
    arguments = ["--repository", str(repository), "--workers", "1"]
    arguments += ["--max-queue-size", str(QUEUE_ROWS), "--caller-header", "x-api-key"]
    with running(*arguments, "--max-requests-per-caller", "60") as started:
        yield started
        assert "Traceback" not in started.errors


async def capacity(port: int) -> float:
    crowd = Crowd(port)
    await crowd.closed_loop(QUICK, callers=4, seconds=0.3)  # the rate is learned
    per_s = await crowd.closed_loop(QUICK, callers=4, seconds=0.7)
    assert set(crowd.statuses) == {200}
    crowd.close()
    return per_s


@in_loop
async def test_at_several_times_the_load_the_queue_is_bounded_and_refusals_are_immediate(
    small: ServerProcess,
) -> None:
    port = port_of(small)
    crowd, stopped, deepest = Crowd(port), asyncio.Event(), 0.0

    async def watch() -> None:
        nonlocal deepest
        while not stopped.is_set():
            waiting = await asyncio.to_thread(total, small, "slipway_pending_requests")
            deepest = max(deepest, waiting)

    async def flood() -> None:
        # From many callers, so that none has more than its share.
        requests = [infer("quick", f"x-api-key: {number}") for number in range(500)]
        await crowd.open_loop(requests, 4 * await capacity(port), seconds=2.0)
        stopped.set()

    await asyncio.gather(watch(), flood())
    assert set(crowd.statuses) <= {200, 429, 503}
    assert crowd.statuses[200] > 0
    refused = [answer for answer in crowd.answers if answer.status != 200]
    assert len(refused) > len(crowd.answers) / 3
    assert all(1 <= int(answer.headers["retry-after"]) <= 38 for answer in refused)
    assert len({answer.headers["retry-after"] for answer in refused}) > 1, "spread"
    assert {json.loads(answer.body)["code"] for answer in refused} <= {"queue_full", "quota"}
    assert 0 < deepest <= QUEUE_ROWS
    accepted = [answer.took_s for answer in crowd.answers if answer.status == 200]
    assert np.median([answer.took_s for answer in refused]) < np.median(accepted)
    crowd.close()


@in_loop
async def test_every_request_of_a_storm_is_accounted_for(small: ServerProcess) -> None:
    ledger, crowd = Ledger(small, "quick"), Crowd(port_of(small))
    await crowd.open_loop([QUICK], per_s=600, seconds=1.0)
    codes = await asyncio.to_thread(ledger.settled, len(crowd.answers))
    assert codes == crowd.statuses
    crowd.close()


@in_loop
async def test_one_caller_floods_and_the_other_gets_its_answers(small: ServerProcess) -> None:
    port = port_of(small)
    loud, quiet = Crowd(port), Crowd(port)
    flood = loud.closed_loop(infer("quick", "x-api-key: loud"), callers=40, seconds=2.0)
    asks = quiet.closed_loop(infer("quick", "x-api-key: quiet"), callers=2, seconds=2.0)
    await asyncio.gather(flood, asks)
    assert set(quiet.statuses) == {200}
    assert loud.statuses[429] > 0
    assert loud.statuses[200] > 0

    def p50(crowd: Crowd) -> float:
        return float(np.median([a.took_s for a in crowd.answers if a.status == 200]))

    assert p50(quiet) < p50(loud)
    loud.close()
    quiet.close()


@in_loop
async def test_after_a_storm_of_retries_the_calm_is_served_at_once(small: ServerProcess) -> None:
    port = port_of(small)
    storm = Crowd(port)
    await storm.open_loop([QUICK], 3 * await capacity(port), seconds=1.5, attempts=4)
    assert storm.statuses[503] > 0
    began, calm = time.monotonic(), Crowd(port)
    while (await calm.ask(QUICK)).status != 200:
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.1)
    healed = Crowd(port)
    await healed.closed_loop(QUICK, callers=2, seconds=0.5)
    assert set(healed.statuses) == {200}
    for crowd in (storm, calm, healed):
        crowd.close()


@in_loop
async def test_probes_and_metrics_are_answered_beside_a_flood(small: ServerProcess) -> None:
    port = port_of(small)
    crowd, probes = Crowd(port), Crowd(port)
    flood = asyncio.create_task(crowd.closed_loop(QUICK, callers=50, seconds=1.0))
    for path in ("/v2/health/live", "/v2/health/ready", "/metrics") * 5:
        await probes.ask(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    await flood
    assert set(probes.statuses) == {200}, "overload is no reason to be taken out of service"
    crowd.close()
    probes.close()
