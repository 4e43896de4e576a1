"""One caller's answers side by side: `n` answers to one or several prompts, whole or piece by piece.

Each answer is a generation request of its own; the engine batches them with everybody's. When one fails all
end, for a caller who asked for three answers has no use for two.

Pieces wait here for their caller: the engine does not wait for anybody. A caller who lets more than
MOST_UNREAD wait is not reading, and what it asked for is cancelled.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from models.errors import SlipwayError
from service.completion import Completion, Piece, complete, stream, too_late, under_terms
from service.errors import SlowReader
from service.generation.request import GenerationRequest
from service.registry import ServedModel
from service.tasks.base import TokenReader
from service.terms import Terms

# Of a usual answer more than all; the sockets' buffers hold thousands before any waits here.
MOST_UNREAD = 1_024


@dataclass(frozen=True)
class Choice:
    request: GenerationRequest
    reader: TokenReader


async def complete_all(
    model: ServedModel, choices: Sequence[Choice], terms: Terms
) -> list[Completion]:
    """Every answer, in order. Raises the first error; the others are cancelled."""
    now = asyncio.get_running_loop().time()
    terms.check(now)
    model.meters.in_flight += 1
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    complete(
                        model,
                        under_terms(choice.request, terms, now),
                        choice.reader,
                        deadline=terms.deadline,
                    )
                )
                for choice in choices
            ]
    except BaseExceptionGroup as errors:  # callers know single errors
        raise _first(errors) from None
    finally:
        model.meters.in_flight -= 1
    return [task.result() for task in tasks]


async def pieces_of(
    model: ServedModel, choices: Sequence[Choice], terms: Terms
) -> AsyncGenerator[tuple[int, Piece], None]:
    """(index of the choice, piece) as they come. Closing it cancels what is under way.

    Raises what an answer fails of, after the pieces that came before; SlowReader when too many wait.
    """
    now = asyncio.get_running_loop().time()
    terms.check(now)
    backlog = _Backlog(len(choices))
    model.meters.in_flight += 1
    tasks = [
        asyncio.create_task(_pump(model, choice, index, terms, now, backlog))
        for index, choice in enumerate(choices)
    ]
    try:
        async for item in backlog.items():
            yield item
    finally:
        model.meters.in_flight -= 1
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _pump(
    model: ServedModel, choice: Choice, index: int, terms: Terms, now: float, backlog: "_Backlog"
) -> None:
    request = under_terms(choice.request, terms, now)
    try:
        async with asyncio.timeout_at(terms.deadline):
            async with aclosing(
                cast(AsyncGenerator[Piece, None], stream(model, request, choice.reader))
            ) as pieces:
                async for piece in pieces:
                    backlog.put(index, piece)
    except TimeoutError:
        backlog.fail(too_late(choice.reader))
    except Exception as error:  # whatever it is, it is the consumer's to raise
        backlog.fail(error)
    finally:
        backlog.ended()


class _Backlog:
    """Pieces on their way from several answers to one caller."""

    def __init__(self, open_count: int) -> None:
        self._open = open_count
        self._pieces: deque[tuple[int, Piece]] = deque()
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def put(self, index: int, piece: Piece) -> None:
        if len(self._pieces) >= MOST_UNREAD:
            raise SlowReader("the stream was not read for so long that it was given up")
        self._pieces.append((index, piece))
        self._news.set()

    def fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._news.set()

    def ended(self) -> None:
        self._open -= 1
        self._news.set()

    async def items(self) -> AsyncGenerator[tuple[int, Piece], None]:
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self._error is not None:
                raise self._error
            if not self._open:
                return
            self._news.clear()
            await self._news.wait()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """A caller is told one error: one of ours where there is one."""
    ours = errors.subgroup(SlipwayError)
    group: BaseExceptionGroup[BaseException] = errors if ours is None else ours
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
