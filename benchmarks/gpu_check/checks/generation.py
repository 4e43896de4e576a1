"""Text generation with its cache on the device: the exam, the CPU's words, tokens per second, captured
steps."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.gpu_check.checks.generation_captured import captured
from benchmarks.gpu_check.checks.parity import judge as judge_exam
from benchmarks.gpu_check.checks.writing import LEAST_EQUAL, ROWS, equal_share, rate_of, written
from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, at_least, judged
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.harness.failures import NotAvailable
from models.blocks import PromptPreprocessing
from models.bundle import Bundle
from models.errors import SlipwayError
from models.runtimes.base import Provider
from models.runtimes.gpu import GpuOptions
from service.workers.base import LoadReport
from service.workers.host import ModelHost
from service.workers.options import HostOptions


def run(workplace: Workplace) -> Iterator[Result]:
    """Raises NotAvailable."""
    found = [
        bundle
        for bundle in bundles_of(workplace.repository)
        if isinstance(bundle.manifest.preprocessing, PromptPreprocessing)
    ]
    if not found:
        raise NotAvailable("the repository holds no model that writes text")
    for bundle in found:
        yield from compared(bundle, workplace)


def compared(bundle: Bundle, workplace: Workplace) -> Iterator[Result]:
    name = f"{bundle.name}/{bundle.version}"
    provider: Provider = "cpu" if workplace.providers[0] == "cpu" else "cuda"
    on_cpu = Written.by(bundle, "cpu", workplace.device)
    what = f"{name}: cache on the device"
    try:
        on_gpu = Written.by(bundle, provider, workplace.device)
    except SlipwayError as error:
        yield judged(what, False, detail=f"{error.reason}: {error.message}")
        return
    yield judge_exam(what, bundle, provider, on_gpu.report)
    yield at_least(
        f"{name}: tokens equal to the CPU's, greedily",
        equal_share(on_cpu.tokens, on_gpu.tokens),
        LEAST_EQUAL,
    )
    for rows in ROWS:
        detail = f"{on_cpu.rates[rows]:,.0f} on two threads of the CPU"
        rate = on_gpu.rates[rows]
        what = f"{name}: {rows} at once"
        yield Result(what, "measured", figure=rate, unit="tokens/s", detail=detail)
    yield from captured(bundle, provider, workplace.device)


@dataclass(frozen=True)
class Written:
    """What one provider wrote: the exam's report, one greedy answer, tokens per second by rows."""

    report: LoadReport
    tokens: list[int]
    rates: dict[int, float]

    @classmethod
    def by(cls, bundle: Bundle, provider: Provider, device: int) -> "Written":
        """Raises BundleError when it cannot be opened there, MeasurementFailed when it does not write."""
        host = ModelHost(HostOptions(2, provider, gpu=GpuOptions(device_id=device)))
        try:
            report = host.load(1, bundle)
            tokens = written(host, 1)[0]
            return cls(report, tokens, {rows: rate_of(host, rows) for rows in ROWS})
        finally:
            host.close()
