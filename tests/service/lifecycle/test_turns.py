"""One at a time per name, in order; other names do not wait; nothing is remembered."""

import asyncio

from service.lifecycle.turns import Turns
from tests.service.loops import in_loop


@in_loop
async def test_turns_come_in_the_order_of_asking_and_never_overlap() -> None:
    turns, seen = Turns(), []

    async def work(number: int) -> None:
        async with turns.of("m"):
            seen.append(number)
            await asyncio.sleep(0)
            seen.append(number)

    await asyncio.gather(*(work(number) for number in range(5)))
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len(turns) == 0


@in_loop
async def test_names_do_not_wait_for_each_other() -> None:
    turns = Turns()
    async with turns.of("m"), turns.of("w"):
        assert len(turns) == 2


@in_loop
async def test_one_that_is_cancelled_while_it_waits_leaves_the_queue_whole() -> None:
    turns, seen = Turns(), []

    async def work(number: int) -> None:
        async with turns.of("m"):
            seen.append(number)

    async with turns.of("m"):
        tasks = [asyncio.create_task(work(number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert seen == [0, 2]
    assert len(turns) == 0
