"""The whole server is suspended and goes on: what has expired meanwhile is told so and not run, wherever it
was (running, queued, or not yet read from the socket)."""

import asyncio
import signal
from pathlib import Path

from tests.faults.callers import Connection, infer
from tests.faults.conftest import port_of
from tests.faults.ledger import Ledger, total
from tests.service.conftest import running
from tests.service.loops import in_loop

PAUSE_S = 2.0
IMPATIENT = infer("slow", "x-request-timeout-ms: 1200")


@in_loop
async def test_there_is_no_burst_of_stale_work(repository: Path) -> None:
    arguments = ["--repository", str(repository), "--model", "slow", "--workers", "1"]
    with running(*arguments) as server:
        port, ledger = port_of(server), Ledger(server, "slow")
        queued = [await Connection.to(port) for _ in range(8)]
        unread = [await Connection.to(port) for _ in range(8)]
        asked = [asyncio.create_task(connection.ask(IMPATIENT)) for connection in queued]
        while await asyncio.to_thread(total, server, "slipway_pending_requests") < 7:
            await asyncio.sleep(0.01)
        server.process.send_signal(signal.SIGSTOP)
        asked += [asyncio.create_task(connection.ask(IMPATIENT)) for connection in unread]
        await asyncio.sleep(PAUSE_S)  # the fault itself
        server.process.send_signal(signal.SIGCONT)
        statuses = [answer.status for answer in await asyncio.gather(*asked)]
        assert set(statuses) <= {200, 504}
        assert statuses[len(queued) :] == [504] * len(unread)
        assert statuses.count(504) > len(unread), "some had expired in the queue"
        # Only the run that was under way may have been in vain.
        runs = total(server, "slipway_batch_size_count", model="slow")
        assert runs <= statuses.count(200) + 1
        fresh = await Connection.to(port)
        assert (await fresh.ask(infer("slow"))).status == 200
        await asyncio.to_thread(ledger.settled, len(statuses) + 1)
        for connection in (*queued, *unread, fresh):
            connection.close()
