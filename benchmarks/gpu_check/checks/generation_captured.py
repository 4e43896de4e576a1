"""Decode steps that are captured and replayed: the same words, and do they pay?"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from statistics import median

from benchmarks.gpu_check.checks.writing import LEAST_EQUAL, ROWS, equal_share, rate_of, written
from benchmarks.gpu_check.result import Result, at_least, judged, not_run
from models.bundle import Bundle
from models.errors import SlipwayError
from models.runtimes.base import Provider
from models.runtimes.gpu import GpuOptions
from service.workers.host import ModelHost
from service.workers.options import HostOptions

_ROUNDS = 3
_LEAST_GAIN = 1.0


@dataclass(frozen=True)
class Ways:
    """One model, opened twice. `rounds`: how often each writes while it is timed, in turn."""

    name: str
    plain: ModelHost
    captured: ModelHost
    rounds: int = _ROUNDS

    def compared(self) -> Iterator[Result]:
        tokens = [written(host, 1)[0] for host in (self.plain, self.captured)]
        what = f"{self.name}: tokens of captured steps equal to those of plain ones"
        yield at_least(what, equal_share(*tokens), LEAST_EQUAL)
        for rows in ROWS:
            yield self._gain(rows)

    def _gain(self, rows: int) -> Result:
        rate_of(self.captured, rows)  # captures
        rates = [
            [rate_of(host, rows) for host in (self.plain, self.captured)]
            for _ in range(self.rounds)
        ]
        plain, captured = (median(column) for column in zip(*rates, strict=True))
        gain = median(after / before for before, after in rates)
        what = f"{self.name}: {rows} at once, captured ÷ plain"
        detail = f"{captured:,.0f} and {plain:,.0f} tokens/s"
        return at_least(what, gain, _LEAST_GAIN, "×", detail)


def captured(bundle: Bundle, provider: Provider, device: int) -> Iterator[Result]:
    name = f"{bundle.name}/{bundle.version}"
    what = f"{name}: decode steps in captured CUDA graphs"
    with ExitStack() as stack:
        hosts = []
        for captures in (False, True):
            gpu = GpuOptions(device_id=device, cuda_graphs=captures)
            host = stack.enter_context(closing(ModelHost(HostOptions(2, provider, gpu=gpu))))
            try:
                report = host.load(1, bundle)
            except SlipwayError as error:
                yield judged(what, False, detail=f"{error.reason}: {error.message}")
                return
            hosts.append(host)
        says = report.details.get("cuda_graphs", "nothing")
        if says != "decode steps":
            yield not_run(what, f"the model says: {says}")
            return
        plain, capturing = hosts
        yield from Ways(name, plain, capturing).compared()
