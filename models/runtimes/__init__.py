"""Runtimes by name. A runtime is imported when the first session is opened, never when it is listed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from models.errors import UsageError
from models.runtimes.base import RuntimeMissing, Session, SessionOptions
from models.runtimes.graph import Graph

OpenSession = Callable[[Graph, SessionOptions], Session]


@dataclass(frozen=True)
class RuntimeInfo:
    """`factory`: "module:function", resolved on first use. `package`: what it imports; `extras`: which of
    ours install it."""

    name: str
    summary: str
    factory: str
    package: str
    extras: tuple[str, ...]

    @property
    def install(self) -> str:
        """The remedy when it is missing."""
        return " or ".join(f"pip install 'slipway[{extra}]'" for extra in self.extras)


_RUNTIMES: dict[str, RuntimeInfo] = {}


def register(info: RuntimeInfo) -> None:
    if info.name in _RUNTIMES:
        raise ValueError(f"runtime {info.name!r} is registered twice")
    _RUNTIMES[info.name] = info


def known() -> list[RuntimeInfo]:
    return [_RUNTIMES[name] for name in sorted(_RUNTIMES)]


def open_session(name: str, graph: Graph, options: SessionOptions) -> Session:
    """Raises UsageError for an unknown runtime, RuntimeMissing for one that is not installed, BundleError
    when the runtime refuses the graph."""
    return preload(name)(graph, options)


def preload(name: str) -> OpenSession:
    """Import a runtime, once. Raises UsageError or RuntimeMissing."""
    info = _RUNTIMES.get(name)
    if info is None:
        raise UsageError(f"there is no runtime {name!r}; known: {', '.join(sorted(_RUNTIMES))}")
    module, _, function = info.factory.partition(":")
    try:
        factory: OpenSession = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != info.package:
            raise
        raise RuntimeMissing(f"runtime {name!r} is not installed: {info.install}") from error
    return factory


register(
    RuntimeInfo(
        "onnxruntime",
        "ONNX Runtime: CPU, CUDA and TensorRT providers",
        "models.runtimes.onnxruntime:open_session",
        "onnxruntime",
        ("cpu", "gpu"),
    )
)
register(
    RuntimeInfo(
        "openvino",
        "OpenVINO: bfloat16 and 8-bit integers on the CPU",
        "models.runtimes.openvino:open_session",
        "openvino",
        ("openvino",),
    )
)
