"""What the operator decides about generation, from the server's settings to the engines in the workers.

Crosses to the worker processes as JSON on their command line. 0 always means: as the bundle says, or as
`limits` derives it. Imports nothing heavy.
"""

from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True)
class GenerationOptions:
    """The reasons for each stand at the settings that they come from: `generation_slots` and so on, and
    `max_queue_size` for `max_waiting`, `variant` for `variants`: each `model=precision`."""

    slots: int = 0
    kv_memory_bytes: int = 0
    max_waiting: int = 0
    prefill_chunk_tokens: int = 64
    prefix_cache_bytes: int = 128 << 20
    lookup_tokens: int = 0
    variants: tuple[str, ...] = ()

    def variant_of(self, model: str) -> str | None:
        """The precision that the operator names for a model; the last word counts."""
        named = dict(entry.split("=", 1) for entry in self.variants)
        return named.get(model)

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> "GenerationOptions":
        """Of this program's own making: raises TypeError for anything else."""
        found = orjson.loads(text)
        return cls(**{**found, "variants": tuple(found["variants"])})


DEFAULTS = GenerationOptions()
