"""What may be set for one model on this machine, and which settings are next to each other.

Pure: choices come from the manifest and what is installed, sizes from the manifest and the cores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from models.manifest import Manifest
from service.selection.choice import Choice
from service.threads import plan as thread_plan

Axis = Literal["choice", "shape", "batch", "delay", "lengths"]
CHOICE: Axis = "choice"
AXES: tuple[Axis, ...] = ("shape", "batch", "delay", "lengths")
"""Beyond the choice, in the order of what they usually bring."""

_DELAYS_US = (0, 1_000, 4_000)
_BATCH_STEP = 4
_MOST_BATCH_SIZES = 4
_LENGTH_STEPS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)


@dataclass(frozen=True)
class Shape:
    """`workers` sessions of `threads` threads each run at the same time."""

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers}×{self.threads}"


@dataclass(frozen=True)
class Setting:
    """One point of the space: what a trial runs and a plan says."""

    choice: Choice
    shape: Shape
    max_batch_size: int
    max_queue_delay_microseconds: int = 0
    length_buckets: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """For people, short enough for a line."""
        parts = [
            f"{self.choice.runtime} {precision(self.choice)}",
            str(self.shape),
            f"batch {self.max_batch_size}",
        ]
        if self.max_queue_delay_microseconds:
            parts.append(f"delay {self.max_queue_delay_microseconds / 1e3:g} ms")
        if self.length_buckets:
            parts.append(f"{len(self.length_buckets)} lengths")
        return ", ".join(parts)


@dataclass(frozen=True)
class Space:
    """Values along every axis; `start` is what a server does that was told nothing."""

    choices: tuple[Choice, ...]
    shapes: tuple[Shape, ...]
    batch_sizes: tuple[int, ...]
    delays_us: tuple[int, ...]
    buckets: tuple[tuple[int, ...], ...]
    start: Setting

    @property
    def size(self) -> int:
        """Of the whole product, most of which is never tried."""
        axes = (self.choices, self.shapes, self.batch_sizes, self.delays_us, self.buckets)
        return prod(map(len, axes))

    def with_choice(self, choice: Choice) -> Setting:
        """The start with another choice."""
        return fitted(replace(self.start, choice=choice))

    def neighbours(self, setting: Setting, axis: Axis) -> Iterator[Setting]:
        """All that differ from it along one axis alone, in declared order; itself is not among them."""
        seen = {setting}
        for changed in self._along(setting, axis):
            found = fitted(changed)
            if found not in seen:
                seen.add(found)
                yield found

    def _along(self, setting: Setting, axis: Axis) -> Iterator[Setting]:
        match axis:
            case "choice":
                yield from (replace(setting, choice=choice) for choice in self.choices)
            case "shape":
                yield from (replace(setting, shape=shape) for shape in self.shapes)
            case "batch":
                yield from (replace(setting, max_batch_size=size) for size in self.batch_sizes)
            case "delay":
                for delay_us in self.delays_us:
                    yield replace(setting, max_queue_delay_microseconds=delay_us)
            case "lengths":
                yield from (replace(setting, length_buckets=lengths) for lengths in self.buckets)


def precision(choice: Choice) -> str:
    """What sets a choice apart beside its runtime: `fp32`, `int8-static`, `fp32 as bf16`."""
    if choice.compute == "fp32" or choice.precision.endswith(choice.compute):
        return choice.precision
    return f"{choice.precision} as {choice.compute}"


def fitted(setting: Setting) -> Setting:
    """Without what cannot matter: a choice that runs alone has no batches, a batch of one no delay."""
    most = setting.choice.max_batch_size
    if most:
        setting = replace(setting, max_batch_size=min(setting.max_batch_size, most))
    if setting.max_batch_size == 1:
        setting = replace(setting, max_queue_delay_microseconds=0, length_buckets=())
    return setting


def space_of(
    manifest: Manifest,
    choices: Sequence[Choice],
    cores: float,
    *,
    limit_ms: float | None = None,
    lengths: Sequence[int] = (),
) -> Space:
    """`limit_ms`: no delay takes more than a quarter of it. `lengths`: of the items that will be sent, in
    the model's own unit; empty where items do not differ in length. `choices` begins with the reference.
    """
    batching = manifest.batching
    plan = thread_plan(cores, 0)
    most_us = None if limit_ms is None else limit_ms * 1e3 / 4
    delays = {us for us in _DELAYS_US if most_us is None or us <= most_us}
    start = Setting(
        choices[0],
        Shape(plan.workers, plan.threads),
        batching.max_batch_size,
        batching.max_queue_delay_microseconds,
    )
    return Space(
        tuple(choices),
        shapes(max(1, int(cores))),
        batch_sizes(batching.max_batch_size),
        tuple(sorted(delays | {0, batching.max_queue_delay_microseconds})),
        length_buckets(lengths),
        fitted(start),
    )


def shapes(cores: int) -> tuple[Shape, ...]:
    """Every core at work, shared out in each way that leaves none over; and one thread alone, for models
    that gain nothing by more. Many narrow sessions first."""
    ways = [Shape(cores // each, each) for each in range(1, cores + 1) if cores % each == 0]
    return tuple(dict.fromkeys([*ways, Shape(1, 1)]))


def batch_sizes(most: int) -> tuple[int, ...]:
    """`most`, a quarter of it, and so on down to one."""
    sizes = [most]
    while sizes[-1] > 1 and len(sizes) < _MOST_BATCH_SIZES - 1:
        sizes.append(max(1, sizes[-1] // _BATCH_STEP))
    return tuple(sorted({1, *sizes}))


def length_buckets(lengths: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """None, or the usual steps up to the longest: few enough that each shape is met again and again."""
    if not lengths or min(lengths) == max(lengths):
        return ((),)
    longest = max(lengths)
    steps = [step for step in _LENGTH_STEPS if step < longest]
    return ((), (*steps, max(longest, _LENGTH_STEPS[0])))
