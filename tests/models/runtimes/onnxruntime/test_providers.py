"""What CUDA and TensorRT are told: names and values as the runtime takes them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.errors import UsageError
from models.runtimes.base import (
    GraphRefused,
    LoadOutOfMemory,
    Provider,
    ProviderMissing,
    SessionOptions,
)
from models.runtimes.gpu import GpuOptions
from models.runtimes.graph import Graph, Sizes
from models.runtimes.onnxruntime import open_session
from models.runtimes.onnxruntime.providers import CudaOptions, TensorRtOptions, Wish, chain_of
from service.settings import Settings, load_settings
from tests.models.runtimes.onnxruntime.fakes import CPU, CUDA, NO_PROFILE, TENSORRT, FakeGpu
from tests.service import graphs

# Of onnxruntime-gpu 1.31.1: the names that its two provider libraries hold.
KNOWN_TO_CUDA = {
    *("device_id", "gpu_mem_limit", "arena_extend_strategy", "cudnn_conv_algo_search"),
    *("do_copy_in_default_stream", "use_tf32", "enable_cuda_graph", "prefer_nhwc", "sdpa_kernel"),
}
KNOWN_TO_TENSORRT = {
    *("device_id", "trt_fp16_enable", "trt_bf16_enable", "trt_int8_enable"),
    *("trt_max_workspace_size", "trt_engine_cache_enable", "trt_engine_cache_path"),
    *("trt_timing_cache_enable", "trt_timing_cache_path", "trt_cuda_graph_enable"),
    *("trt_layer_norm_fp32_fallback", "trt_profile_min_shapes", "trt_profile_opt_shapes"),
    "trt_profile_max_shapes",
}


def a_graph(model: bytes | None = None, **weights: bytes) -> Graph:
    tiny = graphs.doubler()
    return Graph("m/1", model or tiny.data, weights, tiny.inputs, tiny.outputs, Sizes(8, (2, 8)))


def on(provider: Provider, **gpu: object) -> SessionOptions:
    return SessionOptions(provider=provider, gpu=GpuOptions(**gpu))  # type: ignore[arg-type]


def told(
    provider: Provider, graph: Graph | None = None, **gpu: object
) -> dict[str, dict[str, str]]:
    chain = chain_of(graph or a_graph(), on(provider, **gpu), Wish())
    return {
        one if isinstance(one, str) else one[0]: {} if isinstance(one, str) else one[1]
        for one in chain
    }


def test_the_runtime_knows_every_option_that_it_is_told(tmp_path: Path) -> None:
    everything = CudaOptions(gpu_mem_limit_bytes=1 << 30).to_ort()
    assert set(everything) <= KNOWN_TO_CUDA
    tensorrt = told("tensorrt", engine_cache=str(tmp_path))[TENSORRT]
    assert set(tensorrt) == KNOWN_TO_TENSORRT
    for value in (*everything.values(), *tensorrt.values()):
        assert isinstance(value, str), "the runtime takes text"


@pytest.mark.parametrize("kind", [CudaOptions, TensorRtOptions])
def test_every_option_has_a_sentence(kind: type[CudaOptions] | type[TensorRtOptions]) -> None:
    silent = [name for name, field in kind.model_fields.items() if not field.description]
    assert len(kind.model_fields) >= 7
    assert silent == []


def test_cuda_is_told_the_operators_wishes() -> None:
    assert list(told("cuda")) == [CUDA, CPU]
    assert told("cuda", device_id=2, memory_bytes=5 << 30, tf32=True)[CUDA] == {
        "device_id": "2",
        "gpu_mem_limit": "5368709120",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "do_copy_in_default_stream": "1",
        "use_tf32": "1",
        "enable_cuda_graph": "0",
    }
    assert "gpu_mem_limit" not in told("cuda")[CUDA], "no limit is said by saying nothing"


def test_values_that_the_runtime_would_refuse_are_refused_here() -> None:
    for wrong in ({"device_id": -1}, {"arena_extend_strategy": "kHalf"}, {"gpu_mem_limit": 1}):
        with pytest.raises(ValidationError):
            CudaOptions(**wrong)  # type: ignore[arg-type]


def test_tensorrt_hands_on_to_cuda_what_it_does_not_take() -> None:
    assert list(told("tensorrt")) == [TENSORRT, CUDA, CPU]


def test_the_cpu_is_told_nothing_of_a_gpu() -> None:
    assert told("cpu", device_id=3) == {CPU: {}}


def test_precision_follows_compute_and_the_graphs_own_quantization() -> None:
    def precisions(compute: str, graph: Graph) -> str:
        options = SessionOptions(provider="tensorrt", compute=compute)  # type: ignore[arg-type]
        said = dict([chain_of(graph, options, Wish())[0]])[TENSORRT]  # type: ignore[list-item]
        return "".join(said[f"trt_{name}_enable"] for name in ("fp16", "bf16", "int8"))

    plain, quantized = a_graph(), a_graph(b"...\x0fQuantizeLinear...")
    assert precisions("fp32", plain) == "000"
    assert precisions("fp16", plain) == "100"
    assert precisions("bf16", plain) == "010"
    assert precisions("fp32", quantized) == "001"


def test_weights_of_another_version_never_find_an_engine(tmp_path: Path) -> None:
    """Engines are named by the provider after the graph's structure, which versions share."""

    def folder(graph: Graph, compute: str = "fp32") -> str:
        options = SessionOptions(
            provider="tensorrt",
            compute=compute,  # type: ignore[arg-type]
            gpu=GpuOptions(engine_cache=str(tmp_path)),
        )
        said = dict([chain_of(graph, options, Wish())[0]])[TENSORRT]  # type: ignore[list-item]
        assert said["trt_timing_cache_path"] == str(tmp_path), "measured layers are worth sharing"
        return said["trt_engine_cache_path"]

    folders = [
        folder(a_graph(b"graph")),
        folder(a_graph(b"other")),
        folder(a_graph(b"graph", w=b"weights")),
        folder(a_graph(b"graph", w=b"trained on")),
        folder(a_graph(b"graph"), "fp16"),
    ]
    assert len(set(folders)) == len(folders)
    assert folder(a_graph(b"graph")) == folders[0]
    assert all(Path(one).is_dir() for one in folders)


def test_without_a_folder_no_engine_is_kept() -> None:
    assert "trt_engine_cache_enable" not in told("tensorrt")[TENSORRT]


# -- opening ---------------------------------------------------------------------------------------


def test_a_graph_that_tensorrt_takes_in_parts_is_built_for_shapes_as_they_come(
    gpu: FakeGpu,
) -> None:
    gpu.complaints = [NO_PROFILE]
    session = open_session(a_graph(), on("tensorrt"))
    profiles = ["trt_profile_max_shapes" in one.options_of(TENSORRT) for one in gpu.sessions]
    assert profiles == [True, False]
    assert session.describe().provider == TENSORRT


def test_other_complaints_are_not_answered_with_another_try(gpu: FakeGpu) -> None:
    gpu.complaints = ["CUDA failure 35: CUDA driver version is insufficient"]
    with pytest.raises(GraphRefused, match="driver version is insufficient"):
        open_session(a_graph(), on("cuda"))
    assert len(gpu.sessions) == 1


def test_no_memory_to_open_a_graph_is_said_as_such(gpu: FakeGpu) -> None:
    gpu.complaints = ["CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size); "]
    with pytest.raises(LoadOutOfMemory, match="m/1: no memory"):
        open_session(a_graph(), on("cuda"))


def test_a_model_beyond_the_limit_is_refused_with_both_numbers(gpu: FakeGpu) -> None:
    graph = a_graph(weights=bytes(5000))
    with pytest.raises(LoadOutOfMemory, match=rf"{graph.size_bytes:,} bytes of the 4,000"):
        open_session(graph, on("cuda", memory_bytes=4000))
    assert gpu.sessions == []
    open_session(graph, on("cuda", memory_bytes=graph.size_bytes))
    open_session(graph, SessionOptions(gpu=GpuOptions(memory_bytes=1)))  # the limit is the GPU's


@pytest.mark.parametrize("provider", ["cpu", "cuda"])
def test_a_precision_that_a_provider_cannot_compute_in_is_an_error(
    provider: Provider, gpu: FakeGpu
) -> None:
    options = SessionOptions(provider=provider, compute="fp16")
    with pytest.raises(ProviderMissing, match=f"{provider}.*cannot be told fp16"):
        open_session(a_graph(), options)
    assert gpu.sessions == []


def test_a_gpu_that_does_not_start_is_an_error(gpu: FakeGpu) -> None:
    gpu.works = False
    with pytest.raises(ProviderMissing, match="is there a GPU"):
        open_session(a_graph(), on("cuda"))


# -- settings --------------------------------------------------------------------------------------


def test_settings_become_options_that_survive_the_way_to_a_worker() -> None:
    settings = load_settings(
        gpu_device_id=1,
        gpu_memory_bytes=7,
        gpu_cuda_graphs=True,
        gpu_tf32=True,
        tensorrt_cache="/c",
    )
    wanted = GpuOptions(1, 7, True, True, "/c")
    assert settings.gpu == wanted
    assert GpuOptions.from_json(wanted.to_json()) == wanted
    assert Settings().gpu == GpuOptions()


def test_a_device_that_cannot_be_is_refused_at_the_start() -> None:
    with pytest.raises(UsageError, match="--gpu-device-id=-1"):
        load_settings(gpu_device_id=-1)
