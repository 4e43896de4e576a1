"""What an engine measures: counted by its stages, taken by the host, shown by the front end's metrics.

Crosses as JSON, at most once a second. Counts are those since the last report, so that a worker which is
replaced takes none of them back; gauges are the moment's.
"""

from dataclasses import asdict, dataclass, field, fields, replace

import orjson

GAUGES = (
    "running",
    "waiting",
    "slots",
    "kv_reserved_bytes",
    "kv_total_bytes",
    "prefix_cache_bytes",
)


@dataclass
class EngineStats:
    """GAUGES first. `kv_reserved_bytes`: what running requests may come to need; never more than
    `kv_total_bytes`, which is why there is nothing like a preempted request. `ended`: by finish reason;
    "displaced" gave a place in the full queue to a higher priority.
    """

    running: int = 0
    waiting: int = 0
    slots: int = 0
    kv_reserved_bytes: int = 0
    kv_total_bytes: int = 0
    prefix_cache_bytes: int = 0
    steps: int = 0
    step_s: float = 0.0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    prefix_hits: int = 0
    prefix_misses: int = 0
    prefix_hit_tokens: int = 0
    prefix_evictions: int = 0
    lookup_proposed_tokens: int = 0
    lookup_accepted_tokens: int = 0
    ended: dict[str, int] = field(default_factory=dict)

    def take(self, **gauges: int) -> "EngineStats":
        """What was counted since the last time, with the gauges of this moment."""
        taken = replace(self)
        for name, value in gauges.items():
            setattr(taken, name, value)
        for entry in fields(self):
            setattr(self, entry.name, {} if entry.name == "ended" else 0)
        return taken

    def count_end(self, reason: str, count: int = 1) -> None:
        self.ended[reason] = self.ended.get(reason, 0) + count

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> "EngineStats":
        """Raises ValueError for what `to_json` did not write: a worker may be broken."""
        document = orjson.loads(data)
        if not isinstance(document, dict) or document.keys() != {f.name for f in fields(cls)}:
            raise ValueError("these are not an engine's statistics")
        ended = document.pop("ended")
        if not isinstance(ended, dict) or not all(
            type(value) in (int, float) for value in (*document.values(), *ended.values())
        ):
            raise ValueError("an engine's statistics are numbers")
        return cls(**document, ended=ended)
