"""What the operator decides about generation, from the server's settings to the engines in the workers.

Crosses to the worker processes as JSON on their command line. 0 always means: as the bundle says, or as
`limits` derives it. Imports nothing heavy.
"""

from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True)
class GenerationOptions:
    """The reasons for each stand at the settings that they come from: `generation_slots` and so on, and
    `max_queue_size` for `max_waiting`."""

    slots: int = 0
    kv_memory_bytes: int = 0
    max_waiting: int = 0
    prefill_chunk_tokens: int = 64
    prefix_cache_bytes: int = 128 << 20
    lookup_tokens: int = 0

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> "GenerationOptions":
        """Of this program's own making: raises TypeError for anything else."""
        return cls(**orjson.loads(text))


DEFAULTS = GenerationOptions()
