"""Can the checks run here? If not, every reason at once, each with its remedy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.gpu_check.nvidia import Gpu, NoDriver, gpus

# Needed by every check: the graphs are made with onnx, the load generator runs on uvloop.
_PACKAGES = ("onnxruntime", "onnx", "uvloop", "psutil")
_REMEDY = "pip install '.[gpu,train,bench]', where packages can be had"


@dataclass(frozen=True)
class Machine:
    """`providers`: cuda, and tensorrt where its libraries are installed. `reasons`: why not to begin."""

    gpus: tuple[Gpu, ...]
    providers: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()


def look(
    list_gpus: Callable[[], Sequence[Gpu]] = gpus,
    has_package: Callable[[str], bool] = lambda name: find_spec(name) is not None,
    list_providers: Callable[[], Sequence[str]] | None = None,
    has_tensorrt: Callable[[], bool] | None = None,
) -> Machine:
    """Never raises."""
    reasons: list[str] = []
    notes: list[str] = []
    found: Sequence[Gpu] = ()
    try:
        found = list_gpus()
        if not found:
            reasons.append("the NVIDIA driver lists no GPU")
    except NoDriver as error:
        reasons.append(str(error))
    missing = [name for name in _PACKAGES if not has_package(name)]
    if missing:
        reasons.append(f"not installed: {', '.join(missing)}; {_REMEDY}")
    providers: list[str] = []
    if "onnxruntime" not in missing:
        has = set((list_providers or _providers)())
        if "CUDAExecutionProvider" in has:
            providers.append("cuda")
        else:
            reasons.append(
                "onnxruntime is a build without CUDA: uninstall it and install onnxruntime-gpu "
                f"({_REMEDY})"
            )
        # The GPU build lists TensorRT whether or not its libraries are there.
        if "TensorrtExecutionProvider" in has and (has_tensorrt or _has_tensorrt)():
            providers.append("tensorrt")
        else:
            notes.append("tensorrt is not installed: its checks are left out")
    if not has_package("torch"):
        notes.append("torch is not installed: no model can be trained, exported or optimized here")
    return Machine(tuple(found), tuple(providers), tuple(reasons), tuple(notes))


def _providers() -> Sequence[str]:
    import onnxruntime

    found: list[str] = onnxruntime.get_available_providers()
    return found


def _has_tensorrt() -> bool:
    from models.runtimes.onnxruntime.libraries import load_tensorrt_libraries

    return not load_tensorrt_libraries()
