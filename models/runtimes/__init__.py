"""Runtimes by name. A runtime is imported when the first session is opened, never when it is listed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from models.errors import UsageError
from models.runtimes.base import Session, SessionOptions
from models.runtimes.graph import Graph

OpenSession = Callable[[Graph, SessionOptions], Session]


@dataclass(frozen=True)
class RuntimeInfo:
    """`factory`: "module:function", resolved on first use."""

    name: str
    summary: str
    factory: str


_RUNTIMES: dict[str, RuntimeInfo] = {}


def register(info: RuntimeInfo) -> None:
    if info.name in _RUNTIMES:
        raise ValueError(f"runtime {info.name!r} is registered twice")
    _RUNTIMES[info.name] = info


def known() -> list[RuntimeInfo]:
    return [_RUNTIMES[name] for name in sorted(_RUNTIMES)]


def open_session(name: str, graph: Graph, options: SessionOptions) -> Session:
    """Raises UsageError for an unknown runtime, BundleError when the runtime refuses the graph."""
    info = _RUNTIMES.get(name)
    if info is None:
        raise UsageError(f"there is no runtime {name!r}; known: {', '.join(sorted(_RUNTIMES))}")
    module, _, function = info.factory.partition(":")
    factory: OpenSession = getattr(import_module(module), function)
    return factory(graph, options)


register(
    RuntimeInfo(
        "onnxruntime",
        "ONNX Runtime: CPU, CUDA and TensorRT providers",
        "models.runtimes.onnxruntime:open_session",
    )
)
