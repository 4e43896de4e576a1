"""What an operator decides about the GPU, whatever model runs there. Plain values: nothing heavy is imported.

What follows from the model (shapes, precision) is added where a session is opened.
"""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class GpuOptions:
    """`memory_bytes`: most that one model's session may take on the device, weights included; 0: no limit.
    `cuda_graphs`: replay captured graphs where a model's batches have fixed sizes. `tf32`: fp32 products
    may be rounded to ten bits of mantissa. `engine_cache`: folder that keeps TensorRT's engines, which
    take minutes to build; empty: they are built at every load.
    """

    device_id: int = 0
    memory_bytes: int = 0
    cuda_graphs: bool = False
    tf32: bool = False
    engine_cache: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "GpuOptions":
        """Raises TypeError or ValueError for what `to_json` did not make."""
        return cls(**json.loads(text))


ANY_GPU = GpuOptions()
