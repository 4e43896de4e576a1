"""Settings, outcomes and a machine that can be computed, for tests of the search."""

from collections.abc import Callable, Sequence

from service.selection.choice import Choice
from service.tuning.outcome import Outcome
from service.tuning.plan import MeasuredLoad
from service.tuning.space import Setting, Shape, Space

FP32 = Choice()
INT8 = Choice(precision="int8-static", file="variants/int8-static.onnx")
BF16 = Choice(runtime="openvino", precision="bf16", compute="bf16")
ALONE = Choice(precision="int8-dynamic", file="variants/int8-dynamic.onnx", max_batch_size=1)


def setting(
    choice: Choice = FP32, shape: tuple[int, int] = (2, 1), batch: int = 8, delay_us: int = 0
) -> Setting:
    return Setting(choice, Shape(*shape), batch, delay_us)


def space(choices: Sequence[Choice] = (FP32, INT8, BF16)) -> Space:
    shapes = (Shape(2, 1), Shape(1, 2), Shape(1, 1))
    return Space(
        tuple(choices), shapes, (1, 4, 8), (0, 1000, 4000), ((), (16, 32)), setting(choices[0])
    )


def load(
    rate: float, p99_ms: float | None = 10.0, callers: int = 8, errors: float = 0.0, memory: int = 0
) -> MeasuredLoad:
    return MeasuredLoad(
        concurrency=callers,
        requests_per_s=rate,
        p50_ms=p99_ms,
        p95_ms=p99_ms,
        p99_ms=p99_ms,
        error_share=errors,
        memory_bytes=memory,
    )


def outcome(of: Setting, *loads: MeasuredLoad, seconds: float = 1.0, failure: str = "") -> Outcome:
    return Outcome(of, seconds, loads, failure)


class Machine:
    """Computes every figure from the setting and moves its own clock: a second to start, then the looks."""

    def __init__(
        self,
        rate: Callable[[Setting], float],
        p99_ms: Callable[[Setting], float] = lambda _: 10.0,
        start_s: float = 1.0,
    ) -> None:
        self._rate, self._p99_ms, self._start_s = rate, p99_ms, start_s
        self.now_s = 0.0
        self.looks: list[tuple[Setting, float]] = []
        self.broken: dict[Choice, str] = {}
        self.interrupt_after: int | None = None

    def clock(self) -> float:
        return self.now_s

    def __call__(self, of: Setting, seconds: float) -> Outcome:
        if self.interrupt_after is not None and len(self.looks) >= self.interrupt_after:
            raise KeyboardInterrupt
        self.looks.append((of, seconds))
        self.now_s += self._start_s + seconds
        if of.choice in self.broken:
            return Outcome(of, seconds, failure=self.broken[of.choice])
        return Outcome(of, seconds, (load(self._rate(of), self._p99_ms(of)),))
