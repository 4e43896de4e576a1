"""What a request acquired stays its own until its answer is written, however it ends."""

from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.lifecycle.leases import Leases, acquire
from service.registry import ServedModel
from tests.service.lifecycle.world import World
from tests.service.loops import in_loop


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def ignore(_: Message) -> None: ...


@pytest.mark.parametrize("fails", [False, True])
def test_a_lease_ends_with_its_request(fails: bool, tmp_path: Path) -> None:
    @in_loop
    async def check() -> None:
        world = World(tmp_path)
        world.publish()
        await world.lifecycle.start()
        seen: list[ServedModel] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for _ in range(2):
                seen.append(await acquire(scope, world.registry, "m", None))
            assert seen[0].users == 2
            if fails:
                raise ValueError("the route failed")

        try:
            await Leases(app)({"type": "http"}, nothing, ignore)
        except ValueError:
            assert fails
        assert seen[0].users == 0

    check()
