"""One timer for all, which rests when nobody is there."""

import asyncio

from service.edge.sweeper import Sweeper
from tests.service.loops import in_loop, until


class Connection:
    def __init__(self) -> None:
        self.seen: list[float] = []

    def sweep(self, now: float) -> None:
        self.seen.append(now)


@in_loop
async def test_every_connection_is_looked_at_with_the_clocks_time() -> None:
    now = iter(range(100))
    sweeper = Sweeper(lambda: float(next(now)), period_s=0.001)
    connections = {Connection(), Connection()}
    sweeper.watch(connections)
    sweeper.watch(connections)
    await until(lambda: all(len(connection.seen) >= 2 for connection in connections))
    first, second = connections
    assert first.seen == second.seen
    assert first.seen == sorted(first.seen)
    connections.clear()
    await until(lambda: sweeper._timer is None)


@in_loop
async def test_it_starts_again_with_the_next_connection() -> None:
    sweeper = Sweeper(asyncio.get_running_loop().time, period_s=0.001)
    connections: set[Connection] = set()
    sweeper.watch(connections)
    await until(lambda: sweeper._timer is None)
    connection = Connection()
    connections.add(connection)
    sweeper.watch(connections)
    await until(lambda: bool(connection.seen))
    connections.clear()
    await until(lambda: sweeper._timer is None)


@in_loop
async def test_a_connection_may_end_while_it_is_looked_at() -> None:
    connections: set[Connection] = set()

    class Ending(Connection):
        def sweep(self, now: float) -> None:
            connections.discard(self)

    connections.update(Ending() for _ in range(5))
    sweeper = Sweeper(lambda: 0.0, period_s=0.001)
    sweeper.watch(connections)
    await until(lambda: sweeper._timer is None)
    assert not connections


@in_loop
async def test_what_is_read_after_a_stop_may_be_as_old_as_the_last_look() -> None:
    now = [100.0]
    sweeper = Sweeper(lambda: now[0], period_s=0.5)
    now[0] = 100.4
    assert sweeper.arrival(7.0) == 7.0
    now[0] = 130.0
    assert sweeper.arrival(37.0) == 7.0, "thirty seconds in which nobody looked"
    sweeper.sweep()
    assert sweeper.arrival(37.0) == 7.0, "the timer ran before the sockets were read"
    await until(lambda: sweeper.arrival(37.0) == 37.0)
