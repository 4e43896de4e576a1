"""The loads one after the other, with a bar for people. Ctrl-C ends the current one and omits the rest."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from service.bench.figures import figures
from service.bench.loops import Measured, OnTick, Timing, Work, closed_loop, open_loop
from service.bench.report import Point

_TICK_S = 0.25  # the bar shares the processor with what is measured


@dataclass(frozen=True)
class Plan:
    """`concurrency` for closed loops or `rates` for open ones; the other is empty."""

    concurrency: Sequence[int]
    rates: Sequence[float]
    timing: Timing
    seed: int = 0


def run(work: Work, plan: Plan, console: Console | None = None) -> list[Point]:
    """Raises OSError when the server cannot be reached. The last point may have been interrupted."""
    console = console or Console(stderr=True, file=sys.stderr)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}"),
        console=console,
        transient=True,
        auto_refresh=False,
        disable=not console.is_terminal,
    ) as progress:
        return uvloop.run(_points(work, plan, progress))


async def _points(work: Work, plan: Plan, progress: Progress) -> list[Point]:
    stop = asyncio.Event()
    points: list[Point] = []
    with _interruptible(stop):
        for count in plan.concurrency:
            tick = _ticker(progress, f"concurrency {count}", plan.timing)
            found = await closed_loop(work, count, plan.timing, stop, tick)
            points.append(_point(found, stop, concurrency=count))
            if stop.is_set():
                return points
        for rate in plan.rates:
            tick = _ticker(progress, f"{rate:g} arrivals/s", plan.timing)
            found = await open_loop(work, rate, plan.timing, stop, tick, plan.seed)
            points.append(_point(found, stop, rate=rate))
            if stop.is_set():
                return points
    return points


def _point(
    found: Measured, stop: asyncio.Event, concurrency: int | None = None, rate: float | None = None
) -> Point:
    is_open = rate is not None
    return Point(figures(found, is_open=is_open), concurrency, rate, stop.is_set())


@contextmanager
def _interruptible(stop: asyncio.Event) -> Iterator[None]:
    """A second Ctrl-C interrupts as it would anywhere."""
    loop = asyncio.get_running_loop()

    def ask() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, ask)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _ticker(progress: Progress, what: str, timing: Timing) -> OnTick:
    whole = timing.warm_s + timing.duration_s
    task = progress.add_task(what, total=whole, shown="")
    next_s = 0.0

    def tick(measured: Measured) -> None:
        nonlocal next_s
        now = time.perf_counter()
        if progress.disable or now < next_s:
            return
        next_s = now + _TICK_S
        done = sum(each.is_good for each in measured.exchanges)
        wrong = sum(bool(each.error) for each in measured.exchanges)
        shown = f"{done} answers" + (f", {wrong} errors" if wrong else "")
        left = max(0.0, measured.end_s - now)
        progress.update(task, completed=whole - left, shown=shown, refresh=True)

    return tick
