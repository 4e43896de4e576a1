"""Sessions that take the time the test says, on a clock that only they move; and what uses them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from models.bundle import Bundle
from models.errors import ExamFailed
from models.runtimes.base import Arrays, Session, SessionInfo
from service.selection.choice import Choice

BASE = Choice()
FAST = Choice(runtime="openvino", precision="bf16", compute="bf16")
FASTER = Choice(precision="int8-static", file="variants/int8-static.onnx")
SLOW = Choice(runtime="openvino")
ALONE = Choice(precision="int8-dynamic", file="variants/int8-dynamic.onnx", max_batch_size=1)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSession:
    """A run takes `fixed_s` and `row_s` for each row."""

    clock: Clock
    fixed_s: float
    row_s: float
    rows: list[int] = field(default_factory=list)
    is_closed: bool = False

    def describe(self) -> SessionInfo:
        return SessionInfo("fake", "cpu", 1)

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        rows = len(next(iter(inputs.values())))
        self.rows.append(rows)
        self.clock.now += self.fixed_s + rows * self.row_s
        return {}

    def terminate(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


class World:
    """What may be opened, how long that takes, and what fails."""

    def __init__(self, speeds: Mapping[Choice, tuple[float, float]], open_s: float = 0.1) -> None:
        self.clock = Clock()
        self.speeds, self.open_s = speeds, open_s
        self.failing: set[Choice] = set()
        self.broken: set[Choice] = set()
        self.opened: dict[Choice, FakeSession] = {}

    def open(self, bundle: Bundle, choice: Choice) -> Session:
        self.clock.now += self.open_s
        if choice in self.broken:
            raise RuntimeError(f"{bundle.name} cannot be opened so")
        session = self.opened[choice] = FakeSession(self.clock, *self.speeds[choice])
        return session

    def examine(self, session: Session, bundle: Bundle, choice: Choice) -> None:
        assert session is self.opened[choice]
        if choice in self.failing:
            raise ExamFailed(f"{bundle.name}: golden exam: too far off")
