"""Does every bundle give on the GPU the answers that it was published with? Its golden exam decides, within
the bundle's own tolerance, as at every load of a server."""

from collections.abc import Iterator

from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, judged, not_run
from benchmarks.gpu_check.workplace import Workplace
from models.bundle import Bundle
from models.errors import SlipwayError
from models.runtimes.base import Provider
from models.runtimes.gpu import GpuOptions
from service.selection.choice import Choice, reference
from service.workers.base import LoadReport
from service.workers.host import ModelHost
from service.workers.options import HostOptions

NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_LEAST_S = 5.0  # less is not enough to open a session on a device


def run(workplace: Workplace) -> Iterator[Result]:
    bundles = bundles_of(workplace.repository)
    for provider in workplace.providers:
        for bundle in bundles:
            what = f"{bundle.name}/{bundle.version} on {provider}"
            if workplace.left_s < _LEAST_S:
                yield not_run(what, "the time was over")
                continue
            yield examined(what, bundle, reference(bundle.manifest, provider), workplace.device)


def examined(what: str, bundle: Bundle, choice: Choice, device: int) -> Result:
    """The exam of one graph in one place, opened as a worker opens it."""
    provider = choice.provider
    host = ModelHost(HostOptions(2, provider, gpu=GpuOptions(device_id=device)))
    try:
        report = host.load(1, bundle, choice)
    except SlipwayError as error:
        detail = f"{error.reason}: {error.message}"
        return judged(what, False, target=_target(bundle), detail=detail)
    finally:
        host.close()
    return judge(what, bundle, provider, report)


def judge(what: str, bundle: Bundle, provider: Provider, report: LoadReport) -> Result:
    """A pass on another provider than was asked for is none."""
    if report.provider != NAMES[provider]:
        detail = f"it ran on {report.provider}"
        return judged(what, False, target=_target(bundle), detail=detail)
    if report.exam_difference is None:
        return not_run(what, "the bundle has no exam")
    return judged(
        what,
        True,
        figure=report.exam_difference,
        unit="largest difference",
        target=_target(bundle),
        detail=f"loaded in {report.seconds:.1f} s",
    )


def _target(bundle: Bundle) -> str:
    tolerance = bundle.manifest.tolerance
    return f"≤ {tolerance.atol:g} + {tolerance.rtol:g} × size"
