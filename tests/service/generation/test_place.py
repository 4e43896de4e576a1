"""A text model on a GPU: where its graph and cache go, and every reason why not."""

from pathlib import Path

import onnxruntime as ort
import pytest

from models.bundle import Bundle
from models.runtimes.base import LoadOutOfMemory, Provider, ProviderMissing
from models.runtimes.gpu import GpuOptions
from models.runtimes.onnxruntime import load_gpu_libraries
from models.runtimes.onnxruntime.device import HOST, Target
from service.generation.graph import ON_CPU, Place, open_graph
from service.generation.place import place_of
from tests.service import graphs
from tests.service.generation.conftest import TinyModel

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return graphs.doubler().publish(tmp_path / "repository", "m", tmp_path)


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime's GPU build, on a machine without one."""
    load_gpu_libraries.cache_clear()
    monkeypatch.setattr(ort, "get_available_providers", lambda: [_CUDA, _CPU])
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("no libcublas"))


def test_on_the_cpu_nothing_is_asked(bundle: Bundle) -> None:
    assert place_of(bundle, "model.onnx", "cpu", GpuOptions(memory_bytes=1)) is ON_CPU
    assert not ON_CPU.is_device
    assert ON_CPU.target == HOST


@pytest.mark.usefixtures("gpu_build")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_graph_and_cache_go_to_the_chosen_device(bundle: Bundle, provider: Provider) -> None:
    place = place_of(bundle, "model.onnx", provider, GpuOptions(device_id=1, memory_bytes=1 << 30))
    assert place.target == Target("cuda", 1)
    [(name, told), last] = place.providers
    assert (name, last) == (_CUDA, _CPU)
    assert isinstance(told, dict)
    assert (told["device_id"], told["gpu_mem_limit"]) == ("1", str(1 << 30))
    assert place.complaints == "no libcublas"
    assert place.capturing is None


@pytest.mark.usefixtures("gpu_build")
def test_decode_steps_are_captured_where_the_operator_wants_it(bundle: Bundle) -> None:
    place = place_of(bundle, "model.onnx", "cuda", GpuOptions(cuda_graphs=True))
    assert place.capturing is not None
    for chain, told in ((place.capturing, "1"), (place.providers, "0")):
        [(_, options), _] = chain
        assert isinstance(options, dict)
        assert options["enable_cuda_graph"] == told


def test_a_build_without_cuda_is_an_error_and_never_the_cpu(bundle: Bundle) -> None:
    with pytest.raises(ProviderMissing, match="'cuda' is not in this ONNX Runtime"):
        place_of(bundle, "model.onnx", "cuda", GpuOptions())


@pytest.mark.usefixtures("gpu_build")
def test_weights_beyond_the_limit_are_refused(bundle: Bundle) -> None:
    with pytest.raises(LoadOutOfMemory, match="m/1: its weights"):
        place_of(bundle, "model.onnx", "cuda", GpuOptions(memory_bytes=10))


def test_a_device_that_does_not_start_is_an_error(tiny: TinyModel) -> None:
    """The runtime goes on with the next provider of the chain; we do not."""
    place = Place([_CPU], Target("cuda", 0), "no libcublas")
    with pytest.raises(ProviderMissing, match="could not start on this machine: no libcublas"):
        open_graph(tiny.file, place=place)
