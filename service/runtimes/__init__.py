"""Runtimes by name. A runtime is imported when the first session is opened, never when it is listed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from models.bundle import Bundle
from models.errors import UsageError
from service.runtimes.base import Session, SessionOptions

OpenSession = Callable[[Bundle, SessionOptions], Session]


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


def open_session(name: str, bundle: Bundle, options: SessionOptions) -> Session:
    """Raises UsageError for an unknown runtime, BundleError when the runtime refuses the graph."""
    info = _RUNTIMES.get(name)
    if info is None:
        raise UsageError(f"there is no runtime {name!r}; known: {', '.join(sorted(_RUNTIMES))}")
    module, _, function = info.factory.partition(":")
    factory: OpenSession = getattr(import_module(module), function)
    return factory(bundle, options)


register(
    RuntimeInfo(
        "onnxruntime",
        "ONNX Runtime: CPU, CUDA and TensorRT providers",
        "service.runtimes.onnxruntime:open_session",
    )
)
