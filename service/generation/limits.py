"""How much one engine may take on, derived from the bundle, the operator's options and the memory."""

from dataclasses import dataclass

from models.blocks import (
    GenerationPostprocessing,
    PromptPreprocessing,
    SourceTextPreprocessing,
)
from models.manifest import Manifest
from service.generation.graph import GraphRefused
from service.generation.options import DEFAULTS, GenerationOptions

_WAITING_PER_SLOT = 16  # queue length where neither operator nor bundle gives one


@dataclass(frozen=True)
class EngineLimits:
    """`context_tokens`: prompt and answer of one request together, and the length of a cache row.
    `source_tokens`: of the longest source, where an encoder reads one; else 0.

    `slots` bounds the rows that run at once, `kv_memory_bytes` the keys and values that they may come to
    hold (0: slots × context). With less memory than that, memory decides how many run: rows are only
    committed as far as they are used, so short requests fill more slots than long ones.
    `max_waiting` bounds the requests queued behind them; more are refused.
    `prefill_chunk_tokens` trades the first token of a long prompt against the pauses it causes for
    running rows: measured on a 124M decoder, 64 keeps the worst pause at a fifth of feeding 400 tokens
    at once, for a fifth more time to first token.
    `prefix_cache_bytes`: 0 keeps no prefixes. `lookup_tokens`: 0 never speculates.
    `priority_levels` as in the batcher: 1 is served first, 0 makes all requests equal.
    """

    context_tokens: int
    slots: int = 8
    max_waiting: int = 128
    prefill_chunk_tokens: int = 64
    kv_memory_bytes: int = 0
    prefix_cache_bytes: int = 0
    lookup_tokens: int = 0
    priority_levels: int = 0
    default_priority_level: int = 0
    source_tokens: int = 0

    def __post_init__(self) -> None:
        assert self.context_tokens >= 2
        assert self.slots >= 1
        assert self.max_waiting >= 1
        assert self.prefill_chunk_tokens >= 2, "the kernel takes another path for single tokens"
        assert min(self.kv_memory_bytes, self.prefix_cache_bytes, self.lookup_tokens) >= 0

    def level_of(self, priority: int) -> int:
        """1 is the highest; a priority that is none of the levels is the default one."""
        is_level = 0 < priority <= self.priority_levels
        return priority if is_level else self.default_priority_level


def limits_of(
    manifest: Manifest, options: GenerationOptions = DEFAULTS, free_bytes: int = 0
) -> EngineLimits:
    """The operator's word before the bundle's; but there are always slots for the bundle's own number of
    beams. `free_bytes`: memory that could be taken now, of which a
    half bounds the cache when the operator names no bound; 0: unknown, no bound.

    Raises GraphRefused for a bundle without prompts.
    """
    preprocessing, post = manifest.preprocessing, manifest.postprocessing
    if not isinstance(preprocessing, PromptPreprocessing | SourceTextPreprocessing):
        raise GraphRefused(
            f"{manifest.name}: a generation bundle needs prompt or source_text preprocessing"
        )
    source_tokens = 0
    if isinstance(preprocessing, SourceTextPreprocessing):
        source_tokens = preprocessing.max_source_tokens
    batching = manifest.batching
    slots = options.slots or batching.max_batch_size
    if isinstance(post, GenerationPostprocessing) and source_tokens:
        slots = max(slots, post.num_beams)
    waiting = options.max_waiting or batching.default_queue_policy.max_queue_size
    levels = batching.priority_levels
    return EngineLimits(
        context_tokens=preprocessing.context_tokens,
        slots=slots,
        max_waiting=waiting or slots * _WAITING_PER_SLOT,
        prefill_chunk_tokens=options.prefill_chunk_tokens,
        kv_memory_bytes=options.kv_memory_bytes or free_bytes // 2,
        # Answers begin with one token, and what they continue stands in the source.
        prefix_cache_bytes=0 if source_tokens else options.prefix_cache_bytes,
        lookup_tokens=0 if source_tokens else options.lookup_tokens,
        priority_levels=levels,
        default_priority_level=batching.default_priority_level or (levels and levels // 2 + 1),
        source_tokens=source_tokens,
    )
