import asyncio
import threading

import pytest

from service.offload import offload


def test_work_runs_in_a_thread_of_its_own_and_the_loop_goes_on() -> None:
    async def scenario() -> None:
        release = threading.Event()
        waiting = asyncio.ensure_future(offload(release.wait, timeout=10))
        await asyncio.sleep(0)
        assert not waiting.done()
        release.set()
        assert await waiting
        assert await offload(threading.get_ident) != threading.get_ident()

    asyncio.run(scenario())


def test_errors_come_back() -> None:
    async def scenario() -> None:
        with pytest.raises(ZeroDivisionError):
            await offload(divmod, 1, 0)

    asyncio.run(scenario())
