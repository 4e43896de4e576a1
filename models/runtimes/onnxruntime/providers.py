"""What each provider is told. Option names and values are those of ONNX Runtime 1.31.1, read from its GPU
build; the docs (execution-providers/CUDA and /TensorRT) say what they do.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from models.blocks.record import Record
from models.runtimes.base import Provider, SessionOptions
from models.runtimes.gpu import GpuOptions
from models.runtimes.graph import Graph
from models.runtimes.onnxruntime.profiles import ShapeProfile, profile_of

NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
Chain = list[str | tuple[str, dict[str, str]]]


class CudaOptions(Record):
    """Of the CUDA provider."""

    device_id: int = Field(default=0, ge=0, description="which GPU, as the driver counts them")
    gpu_mem_limit_bytes: int = Field(
        default=0,
        ge=0,
        description="most that the session's arena may hold on the device; 0: no limit. Weights are "
        "counted by us before the session is opened, since the arena does not refuse them",
    )
    arena_extend_strategy: Literal["kNextPowerOfTwo", "kSameAsRequested"] = Field(
        default="kSameAsRequested",
        description="how the arena grows: by what a run asks for, or by doubling, which wastes up to half "
        "of a device that several models share",
    )
    cudnn_conv_algo_search: Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] = Field(
        default="HEURISTIC",
        description="how a convolution's algorithm is chosen for every new shape: EXHAUSTIVE tries all of "
        "them, and the first request of each batch size waits for that",
    )
    do_copy_in_default_stream: bool = Field(
        default=True,
        description="copies and kernels in one stream; false races for some models (onnxruntime #4829)",
    )
    use_tf32: bool = Field(
        default=False,
        description="fp32 products on tensor cores, factors rounded to ten bits of mantissa: faster, and "
        "answers differ in the fourth digit",
    )
    enable_cuda_graph: bool = Field(
        default=False,
        description="runs may be captured and replayed; needs every computing node on the GPU",
    )

    def to_ort(self) -> dict[str, str]:
        told = {
            "device_id": str(self.device_id),
            "arena_extend_strategy": self.arena_extend_strategy,
            "cudnn_conv_algo_search": self.cudnn_conv_algo_search,
            "do_copy_in_default_stream": _flag(self.do_copy_in_default_stream),
            "use_tf32": _flag(self.use_tf32),
            "enable_cuda_graph": _flag(self.enable_cuda_graph),
        }
        if self.gpu_mem_limit_bytes:
            told["gpu_mem_limit"] = str(self.gpu_mem_limit_bytes)
        return told


class TensorRtOptions(Record):
    """Of the TensorRT provider; what it does not take over goes to CUDA."""

    device_id: int = Field(default=0, ge=0, description="which GPU, as the driver counts them")
    fp16: bool = Field(default=False, description="layers may compute in half precision")
    bf16: bool = Field(default=False, description="layers may compute in bfloat16")
    int8: bool = Field(
        default=False, description="layers between quantize and dequantize nodes compute in int8"
    )
    max_workspace_bytes: int = Field(
        default=1 << 30,
        ge=1 << 20,
        description="memory that a layer may use while it computes; less rules out fast algorithms",
    )
    engine_cache: str = Field(
        default="",
        description="folder of built engines and of measured layers; empty: built at every load, which "
        "takes minutes",
    )
    cuda_graph: bool = Field(default=False, description="runs may be captured and replayed")
    profile: ShapeProfile | None = Field(
        default=None, description="range of shapes that the engine is built for, once"
    )

    def to_ort(self) -> dict[str, str]:
        told = {
            "device_id": str(self.device_id),
            "trt_fp16_enable": _flag(self.fp16),
            "trt_bf16_enable": _flag(self.bf16),
            "trt_int8_enable": _flag(self.int8),
            "trt_max_workspace_size": str(self.max_workspace_bytes),
            "trt_cuda_graph_enable": _flag(self.cuda_graph),
            # Sums of squares overflow half precision.
            "trt_layer_norm_fp32_fallback": _flag(self.fp16),
        }
        if self.engine_cache:
            told |= {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": self.engine_cache,
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": str(Path(self.engine_cache).parent),
            }
        if self.profile is not None:
            shapes, text = self.profile, ShapeProfile.text
            told |= {
                "trt_profile_min_shapes": text(shapes.names, shapes.least),
                "trt_profile_opt_shapes": text(shapes.names, shapes.best),
                "trt_profile_max_shapes": text(shapes.names, shapes.most),
            }
        return told


@dataclass(frozen=True)
class Wish:
    """What is asked of the runtime beyond what was ordered; given up where it says that it cannot."""

    has_graphs: bool = False
    has_profile: bool = True

    def weaker(self, complaint: str) -> "Wish | None":
        """What to try next; None when the complaint is about something else."""
        if self.has_graphs and "cannot use the graph capture feature" in complaint:
            return replace(self, has_graphs=False)
        # A graph of which TensorRT takes only parts: their inner inputs would need profiles too.
        if self.has_profile and "associated shape profiles" in complaint:
            return replace(self, has_profile=False)
        return None


def cuda_chain(gpu: GpuOptions, *, has_graphs: bool = False) -> Chain:
    cuda = CudaOptions(
        device_id=gpu.device_id,
        gpu_mem_limit_bytes=gpu.memory_bytes,
        use_tf32=gpu.tf32,
        enable_cuda_graph=has_graphs,
    )
    return [(NAMES["cuda"], cuda.to_ort()), NAMES["cpu"]]


def chain_of(graph: Graph, options: SessionOptions, wish: Wish) -> Chain:
    """Providers in order of preference; the last takes what no other can."""
    if options.provider == "cpu":
        return [NAMES["cpu"]]
    gpu, is_tensorrt = options.gpu, options.provider == "tensorrt"
    chain = cuda_chain(gpu, has_graphs=wish.has_graphs and not is_tensorrt)
    if is_tensorrt:
        tensorrt = TensorRtOptions(
            device_id=gpu.device_id,
            fp16=options.compute == "fp16",
            bf16=options.compute == "bf16",
            int8=b"QuantizeLinear" in graph.model,
            engine_cache=_engine_folder(graph, options),
            cuda_graph=wish.has_graphs,
            profile=profile_of(graph.inputs, graph.sizes) if wish.has_profile else None,
        )
        chain.insert(0, (NAMES["tensorrt"], tensorrt.to_ort()))
    return chain


def _engine_folder(graph: Graph, options: SessionOptions) -> str:
    """One per set of weights: the provider names an engine by the graph's structure alone, and would serve
    a newer version of a model with the older one's weights."""
    if not options.gpu.engine_cache:
        return ""
    digest = hashlib.sha256(graph.model)
    for name in sorted(graph.weights):
        digest.update(name.encode())
        digest.update(graph.weights[name])
    name = f"{digest.hexdigest()[:16]}-{options.compute}"
    folder = Path(options.gpu.engine_cache) / name
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _flag(is_on: bool) -> str:
    return "1" if is_on else "0"
