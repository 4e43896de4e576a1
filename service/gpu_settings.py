"""The knobs of GPUs, a part of `service.settings.Settings`."""

from pydantic import Field
from pydantic_settings import BaseSettings

from models.runtimes.gpu import GpuOptions


class GpuSettings(BaseSettings):
    """Without effect where everything computes on the CPU."""

    gpu_device_id: int = Field(
        default=0,
        ge=0,
        le=255,
        description="which GPU computes, as the driver numbers those that this process sees; for several "
        "GPUs start a server for each",
    )
    gpu_memory_bytes: int = Field(
        default=0,
        ge=0,
        le=1 << 44,
        description="device memory that one model may take in each worker, weights and runs together: a "
        "model whose weights are larger is refused, a batch that needs more is run in parts. 0: no limit",
    )
    gpu_cuda_graphs: bool = Field(
        default=False,
        description="capture the kernels of models with allowed_batch_sizes once per size, and those of "
        "text models' decode steps, and replay them, which spares launching small kernels one by one; takes "
        "memory for every size",
    )
    gpu_tf32: bool = Field(
        default=False,
        description="fp32 models may multiply with factors rounded to ten bits of mantissa: several times "
        "faster on tensor cores, answers differ in the fourth digit, and the golden exam must still pass",
    )
    tensorrt_cache: str = Field(
        default="",
        description="folder that keeps TensorRT's engines between starts, by weights and precision; "
        "empty: every load builds them, which takes minutes. Clear it when driver or GPU change",
    )

    @property
    def gpu(self) -> GpuOptions:
        return GpuOptions(
            device_id=self.gpu_device_id,
            memory_bytes=self.gpu_memory_bytes,
            cuda_graphs=self.gpu_cuda_graphs,
            tf32=self.gpu_tf32,
            engine_cache=self.tensorrt_cache,
        )
