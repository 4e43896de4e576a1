"""Text generation with its cache on the device: the exam, the CPU's words, and tokens per second."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.gpu_check.checks.parity import judge as judge_exam
from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, at_least, judged, not_run
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.harness.failures import MeasurementFailed, NotAvailable
from models.blocks import PromptPreprocessing
from models.bundle import Bundle
from models.errors import SlipwayError
from models.runtimes.base import Provider
from models.runtimes.gpu import GpuOptions
from service.generation.request import GenerationRequest, SamplingParams
from service.generation.requests import Events
from service.workers.base import LoadReport
from service.workers.host import ModelHost
from service.workers.options import HostOptions

_ROWS = (1, 8)
_TOKENS = 64
_PROMPT = tuple(range(1, 17))
_LIMIT_S = 60.0
# Products of another batch size take another kernel on a GPU, so tokens that are nearly tied may differ.
_LEAST_EQUAL = 0.9
NO_GRAPHS = (
    "not built: the cache's length of the moment is an input that the kernel reads on the CPU, and a "
    "captured graph would keep the first one; it needs to be shown on a GPU that the whole cache's length "
    "does for every step"
)


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
    yield not_run("decode steps in captured CUDA graphs", NO_GRAPHS)


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
        f"{name}: tokens equal to the CPU's, greedily", equal_share(on_cpu, on_gpu), _LEAST_EQUAL
    )
    for rows in _ROWS:
        detail = f"{on_cpu.rates[rows]:,.0f} on two threads of the CPU"
        rate = on_gpu.rates[rows]
        what = f"{name}: {rows} at once"
        yield Result(what, "measured", figure=rate, unit="tokens/s", detail=detail)


def equal_share(one: "Written", other: "Written") -> float:
    """Of the answers' tokens, those before the first that differs."""
    same = 0
    for mine, theirs in zip(one.tokens, other.tokens, strict=True):
        if mine != theirs:
            break
        same += 1
    return same / max(1, len(one.tokens))


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
            return cls(report, tokens, {rows: rate_of(host, rows) for rows in _ROWS})
        finally:
            host.close()


def rate_of(host: ModelHost, rows: int) -> float:
    """Tokens per second of so many requests that are written together."""
    began = time.perf_counter()
    answers = written(host, rows)
    return sum(map(len, answers)) / (time.perf_counter() - began)


def written(host: ModelHost, rows: int) -> list[list[int]]:
    """Greedy answers of full length. Raises MeasurementFailed."""
    sampling = SamplingParams(max_tokens=_TOKENS, temperature=0.0, ignore_stop=True)
    payload = GenerationRequest(_PROMPT, sampling).to_json()
    answers: list[list[int]] = [[] for _ in range(rows)]
    problems: list[str] = []
    left, is_over = set(range(rows)), threading.Event()

    def emit(events: Events) -> None:
        for number, event in events:
            answers[number].extend(event.token_ids)
            if event.finish_reason is not None:
                left.discard(number)
                if event.finish_reason != "length":
                    problems.append(event.error or event.finish_reason)
        if not left:
            is_over.set()

    for number in range(rows):
        host.generate(1, number, payload, emit)
    if not is_over.wait(_LIMIT_S):
        raise MeasurementFailed(f"{rows} answers were not written within {_LIMIT_S:g} s")
    if problems:
        raise MeasurementFailed(f"an answer ended early: {problems[0]}")
    return answers
