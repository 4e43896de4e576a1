"""Callers that leave: while they wait, during the run, with a reset, with half a goodbye. Their work is
dropped and counted, their neighbours get their answers."""

import asyncio
import json
import socket
import struct

import numpy as np
import pytest

from tests.faults.callers import Connection, Crowd, infer
from tests.faults.ledger import Ledger, total
from tests.service.conftest import ServerProcess, infer_body
from tests.service.loops import in_loop

TYPED = json.dumps({"instances": [{"x": [1.0, 1.0]}]}).encode()


def typed(path: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(TYPED)}\r\n\r\n".encode() + TYPED


ROUTES = {
    "v2": infer("slow"),
    "v2 through the application": infer("slow", "upgrade: h2c"),
    "typed": typed("/v1/models/slow/predict"),
    "v1": typed("/v1/models/slow:predict"),
}


async def _until(server: ServerProcess, name: str, value: float) -> None:
    while await asyncio.to_thread(total, server, name, model="slow") != value:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("route", ROUTES)
@in_loop
async def test_who_leaves_while_waiting_is_never_run(
    route: str, server: ServerProcess, port: int
) -> None:
    ledger = Ledger(server, "slow")
    runs = total(server, "slipway_batch_size_count", model="slow")
    stays, leaves = await Connection.to(port), [await Connection.to(port) for _ in range(5)]
    answer = asyncio.create_task(stays.ask(ROUTES[route]))
    await _until(server, "slipway_in_flight_requests", 1)
    for connection in leaves:
        connection.send(ROUTES[route])
    await _until(server, "slipway_pending_requests", 5)
    for connection in leaves:
        connection.reset()
    await _until(server, "slipway_pending_requests", 0)
    assert (await answer).status == 200
    codes = await asyncio.to_thread(ledger.settled, 6)
    assert codes == {200: 1, 499: 5}
    assert total(server, "slipway_batch_size_count", model="slow") == runs + 1
    stays.close()


@in_loop
async def test_who_leaves_during_the_run_disturbs_nobody(server: ServerProcess, port: int) -> None:
    ledger, neighbours = Ledger(server, "slow"), Crowd(port)
    leaves = await Connection.to(port)
    leaves.send(infer("slow"))
    await _until(server, "slipway_in_flight_requests", 1)
    others = [asyncio.create_task(neighbours.ask(infer("slow"))) for _ in range(3)]
    await _until(server, "slipway_in_flight_requests", 4)
    leaves.reset()
    await asyncio.gather(*others)
    assert neighbours.statuses == {200: 3}
    assert await asyncio.to_thread(ledger.settled, 4) == {200: 3, 499: 1}
    neighbours.close()


@pytest.mark.parametrize("how", ["half closed", "reset"])
def test_a_socket_closed_by_half_or_by_force_counts_as_gone(
    how: str, server: ServerProcess, port: int
) -> None:
    ledger = Ledger(server, "slow")
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(infer("slow"))
        if how == "half closed":
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100) == b""
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ledger.settled(1) == {499: 1}


@in_loop
async def test_departures_at_every_moment_leave_nothing_behind(
    server: ServerProcess, port: int
) -> None:
    """Beside a neighbour that stays, two hundred callers leave after random times."""
    ledger = Ledger(server, "quick")
    random = np.random.default_rng(0)
    neighbour = Crowd(port)

    async def come_and_go(after_s: float) -> None:
        connection = await Connection.to(port)
        connection.send(infer("quick"))
        await asyncio.sleep(after_s)
        connection.reset()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(neighbour.closed_loop(infer("quick"), callers=1, seconds=1.0))
        for after_s in random.uniform(0, 0.02, 200):
            tasks.create_task(come_and_go(float(after_s)))
            await asyncio.sleep(0.003)
    assert set(neighbour.statuses) == {200}
    # One that resets before the server has read a whole request never became one.
    codes = await asyncio.to_thread(ledger.settled, len(neighbour.answers) + 200, 200)
    assert set(codes) <= {200, 499}
    neighbour.close()


def test_a_body_that_never_ends_is_no_request(server: ServerProcess, port: int) -> None:
    ledger = Ledger(server, "double")
    body = json.dumps(infer_body("x", np.ones((1, 2), np.float32))).encode()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(infer("double", body=body)[:-2])
    assert ledger.settled(0) == {}
