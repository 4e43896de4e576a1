"""Texts written by a server under measurement, through the load generator of `slipway bench`.

Prompts are random token ids, so that lengths are exact and no two begin alike; answers are greedy and go on
to their full length. `write` keeps so many callers busy for a while, `ask_together` sends requests at chosen
moments and follows every stream token by token.
"""

import asyncio
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import orjson
import uvloop

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.processes import Server
from service.bench.answers import StreamReader
from service.bench.exchange import Exchange
from service.bench.figures import figures
from service.bench.line import Line
from service.bench.loops import Measured, Timing, Work, closed_loop
from service.bench.target import Target

_LOOK_S = 0.001


@dataclass(frozen=True)
class Ask:
    """One request: `ids` in, `answer` tokens out. Sent once every stream before it has `after` tokens."""

    ids: Sequence[int]
    answer: int
    after: int = 0


@dataclass(frozen=True)
class Written:
    """`rate`: answer tokens per second. `main_us`, `others_us`: processor time per token of the server's
    first process (its front end) and of its workers."""

    rate: float
    first_p50_ms: float
    gap_p50_ms: float
    gap_p99_ms: float
    main_us: float
    others_us: float


class Prompts:
    """Random ids below `vocabulary`; the same for the same seed."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self._vocabulary = vocabulary
        self._dice = random.Random(seed)

    def ids(self, count: int) -> list[int]:
        return [self._dice.randrange(self._vocabulary) for _ in range(count)]

    def lengths(
        self, prompt: tuple[int, int], answer: tuple[int, int], count: int
    ) -> list[tuple[int, int]]:
        """(prompt, answer) tokens, drawn evenly from both ranges, ends included."""
        return [(self._dice.randint(*prompt), self._dice.randint(*answer)) for _ in range(count)]


def message(target: Target, model: str, ask: Ask) -> bytes:
    body = {
        "model": model,
        "prompt": list(ask.ids),
        "max_tokens": ask.answer,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return target.post("/v1/completions", orjson.dumps(body))


def write(server: Server, model: str, callers: int, asks: Iterator[Ask], timing: Timing) -> Written:
    """`asks`: endless, taken in turn by whichever caller is free. Raises MeasurementFailed."""
    target = Target("127.0.0.1", server.port)
    work = Work(target, (message(target, model, ask) for ask in asks), StreamReader)
    before = server.cpu()
    measured = uvloop.run(_closed(work, callers, timing))
    after = server.cpu()
    found = figures(measured, is_open=False)
    if found.errors:
        raise MeasurementFailed(f"answers that were none: {found.errors}")
    tokens = sum(
        len(each.token_s) for each in measured.exchanges
    )  # processor time counts the warm-up
    if not found.output_tokens_per_s:
        raise MeasurementFailed("no token came; measure for longer")
    return Written(
        rate=found.output_tokens_per_s,
        first_p50_ms=found.time_to_first_token.p50_ms,
        gap_p50_ms=found.between_tokens.p50_ms,
        gap_p99_ms=found.between_tokens.p99_ms,
        main_us=(after.main_s - before.main_s) / tokens * 1e6,
        others_us=(after.others_s - before.others_s) / tokens * 1e6,
    )


async def _closed(work: Work, callers: int, timing: Timing) -> Measured:
    return await closed_loop(work, callers, timing, asyncio.Event(), lambda _: None)


def ask_together(
    server: Server, model: str, asks: Sequence[Ask], *, until_last: bool = False
) -> list[Exchange]:
    """The streams in the order of `asks`, each to its end, or all of them until the last one's end.

    Raises MeasurementFailed.
    """
    target = Target("127.0.0.1", server.port)
    done = uvloop.run(_together(target, model, asks, until_last))
    wrong = sorted({each.error for each in done if each.error})
    if wrong:
        raise MeasurementFailed(f"answers that were none: {', '.join(wrong)}")
    return done


async def _together(
    target: Target, model: str, asks: Sequence[Ask], until_last: bool
) -> list[Exchange]:
    loop = asyncio.get_running_loop()
    exchanges: list[Exchange] = []
    lines: list[Line] = []
    for _ in asks:  # connected before anything is sent
        _, line = await loop.create_connection(
            lambda: Line(StreamReader, lambda *_: None), target.host, target.port
        )
        lines.append(line)
    for line, ask in zip(lines, asks, strict=True):
        while any(len(each.token_s) < ask.after and not each.is_ended for each in exchanges):
            await asyncio.sleep(_LOOK_S)
        exchanges.append(Exchange(time.perf_counter()))
        line.send(message(target, model, ask), exchanges[-1])
    waited = exchanges[-1:] if until_last else exchanges
    while not all(each.is_ended for each in waited):
        await asyncio.sleep(_LOOK_S)
    for line in lines:
        line.close()
    return exchanges


def step_ms(streams: Sequence[Exchange], until: float = math.inf) -> float:
    """Mean gap between tokens while all streams ran together: from the last one's first token to the
    first one's last, or to `until`. A mean, because a reader that is late finds two tokens at once."""
    start = max(each.token_s[0] for each in streams)
    end = min(until, *(each.token_s[-1] for each in streams))
    seconds, gaps = 0.0, 0
    for each in streams:
        moments = [moment for moment in each.token_s if start <= moment <= end]
        if len(moments) > 1:
            seconds += moments[-1] - moments[0]
            gaps += len(moments) - 1
    if not seconds:
        raise MeasurementFailed("the streams did not run together")
    return seconds / gaps * 1e3


def longest_pause_ms(streams: Sequence[Exchange], start: float, end: float) -> float:
    """The longest that any stream went without a token at some time between these moments."""
    pauses = [
        after - before
        for each in streams
        for before, after in pairwise(each.token_s)
        if before < end and after > start
    ]
    if not pauses:
        raise MeasurementFailed("the streams had ended before")
    return max(pauses) * 1e3
