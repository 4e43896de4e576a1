"""Where a generation model computes: what a provider's name means for its graph and its cache."""

from models.bundle import Bundle
from models.runtimes.base import Provider
from models.runtimes.gpu import GpuOptions
from models.runtimes.onnxruntime.device import Target
from models.runtimes.onnxruntime.libraries import load_gpu_libraries
from models.runtimes.onnxruntime.providers import cuda_chain
from models.runtimes.onnxruntime.session import check_available, check_limit
from service.generation.encoder_graph import ENCODER_FILE
from service.generation.graph import ON_CPU, Place


def place_of(bundle: Bundle, file: str, provider: Provider, gpu: GpuOptions) -> Place:
    """TensorRT has no attention over a cache that is written in place, so its models are CUDA's here.

    Raises ProviderMissing and LoadOutOfMemory, before anything is opened.
    """
    if provider == "cpu":
        return ON_CPU
    check_available("cuda")
    files = bundle.manifest.files.items()
    size = sum(entry.size_bytes for name, entry in files if name.startswith((file, ENCODER_FILE)))
    check_limit(f"{bundle.name}/{bundle.version}", size, gpu.memory_bytes)
    return Place(
        cuda_chain(gpu),
        Target("cuda", gpu.device_id),
        load_gpu_libraries(),
        cuda_chain(gpu, has_graphs=True) if gpu.cuda_graphs else None,
    )
