"""What the engine of one text model reported, summed up: its gauges as they are, its counts since the start.

The worker reports to the primary front end alone, at most once a second; the others' cells stay empty, so
the sum over all front ends counts everything once. Dumped and added like the cells of `meters`, which holds
one of these.
"""

from dataclasses import asdict
from typing import Any, Literal, NamedTuple

from service.generation.stats import GAUGES, EngineStats


class Measure(NamedTuple):
    """One metric; `attribute` is the field of EngineStats. Names are vLLM's where it has the same thing."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    attribute: str


MEASURES = (
    Measure("num_requests_running", "gauge", "Text requests that have a slot.", "running"),
    Measure("num_requests_waiting", "gauge", "Text requests that wait for a slot.", "waiting"),
    Measure("generation_slots", "gauge", "Text requests that may run at once.", "slots"),
    Measure(
        "kv_cache_reserved_bytes",
        "gauge",
        "Keys and values that running requests may come to need; never more than there is.",
        "kv_reserved_bytes",
    ),
    Measure("kv_cache_bytes", "gauge", "Memory for keys and values.", "kv_total_bytes"),
    Measure(
        "prefix_cache_bytes", "gauge", "Memory that kept prompts occupy.", "prefix_cache_bytes"
    ),
    Measure("generation_steps_total", "counter", "Steps of the engine.", "steps"),
    Measure("generation_step_seconds_total", "counter", "Time in steps of the engine.", "step_s"),
    Measure("prefill_tokens_total", "counter", "Prompt tokens computed.", "prefill_tokens"),
    Measure("decode_tokens_total", "counter", "Answer tokens computed.", "decode_tokens"),
    Measure(
        "prefix_cache_hits_total", "counter", "Prompts whose beginning was kept.", "prefix_hits"
    ),
    Measure(
        "prefix_cache_misses_total",
        "counter",
        "Prompts long enough to be kept whose beginning was not.",
        "prefix_misses",
    ),
    Measure(
        "prefix_cache_hit_tokens_total",
        "counter",
        "Prompt tokens that were copied instead of computed.",
        "prefix_hit_tokens",
    ),
    Measure(
        "prefix_cache_evictions_total",
        "counter",
        "Blocks of 64 tokens that went for newer ones.",
        "prefix_evictions",
    ),
    Measure(
        "spec_decode_draft_tokens_total",
        "counter",
        "Tokens guessed from the text so far.",
        "lookup_proposed_tokens",
    ),
    Measure(
        "spec_decode_accepted_tokens_total",
        "counter",
        "Guessed tokens that were right.",
        "lookup_accepted_tokens",
    ),
)


class EngineMeters:
    """`is_used`: an engine has reported, or another front end's had."""

    def __init__(self) -> None:
        self.stats = EngineStats()
        self.is_used = False

    def reported(self, stats: EngineStats) -> None:
        """What was counted since the last report, and the gauges of its moment."""
        self.is_used = True
        for name in GAUGES:
            setattr(self.stats, name, getattr(stats, name))
        self._count(asdict(stats))

    def dump(self) -> dict[str, Any]:
        return {"is_used": self.is_used, **asdict(self.stats)}

    def add(self, dump: dict[str, Any]) -> None:
        """What another front end was told; its gauges are not touched."""
        self.is_used |= dump["is_used"]
        self._count(dump)

    def show(self, dumps: list[dict[str, Any]]) -> None:
        """Gauges of the living front ends: all but the primary's are zero."""
        for name in GAUGES:
            setattr(self.stats, name, sum(dump[name] for dump in dumps))

    def _count(self, values: dict[str, Any]) -> None:
        for measure in MEASURES:
            if measure.kind == "counter":
                before = getattr(self.stats, measure.attribute)
                setattr(self.stats, measure.attribute, before + values[measure.attribute])
        for reason, count in values["ended"].items():
            self.stats.count_end(reason, count)
