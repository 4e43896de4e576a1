"""A manifest's batching hints, resolved for the machine that serves them: what the batcher obeys."""

import math
from dataclasses import dataclass

from models.manifest import Batching

_LEAST_QUEUE_ROWS = 24  # small batches still deserve a queue that survives a burst of connections
_MOST_QUEUE_ROWS = 16_384  # what a queue may hold in memory when nobody says otherwise


@dataclass(frozen=True)
class BatchLimits:
    """What a batch and its queue may hold. `concurrency`: batches that run at once. `queue_timeout_s`:
    longest wait; afterwards refused, or (`delays_late`) served behind all others of the level.
    `max_queue_wait_s`: expected wait beyond which new items are refused; `least_queue_rows` may wait
    however long that takes. `latency_target_s`: 95 of 100 answers should not take longer; 0: none."""

    max_batch_size: int = 1
    max_queue_delay_s: float = 0.0
    max_queue_rows: int = 256
    least_queue_rows: int = 0
    max_queue_wait_s: float = math.inf
    max_batch_tokens: int = 0
    concurrency: int = 1
    preferred_batch_size: tuple[int, ...] = ()
    allowed_batch_sizes: tuple[int, ...] = ()
    length_buckets: tuple[int, ...] = ()
    length_step: int = 0
    priority_levels: int = 0
    default_priority_level: int = 0
    queue_timeout_s: float | None = None
    delays_late: bool = False
    allow_timeout_override: bool = False
    latency_target_s: float = 0.0

    @property
    def learns_cost(self) -> bool:
        """Batches are cut where they stop to pay, unless somebody said how large they should be."""
        said = self.max_queue_delay_s or self.preferred_batch_size or self.allowed_batch_sizes
        return not said


def limits_of(
    batching: Batching,
    workers: int,
    *,
    max_queue_wait_s: float = 0.075,
    latency_target_s: float = 0.0,
    full_batch_size: int = 0,
    length_step: int = 0,
) -> BatchLimits:
    """From a manifest's hints. `max_queue_wait_s` and `latency_target_s` are the operator's.
    `full_batch_size`: of which some may always wait, where something else than the model's makers made the
    batches smaller; 0: as many as make a batch. `length_step`: lengths are padded up to multiples of it,
    where the manifest names none to pad up to."""
    instances = min(batching.instance_group or workers, workers)
    policy = batching.default_queue_policy
    most = batching.max_batch_size
    sizes = batching.allowed_batch_sizes
    # Where all go beyond the limit the smallest stays: a graph of fixed size takes nothing else.
    allowed = _up_to(most, sizes) or tuple(sorted(sizes)[:1])
    most_waiting = policy.max_queue_size or _MOST_QUEUE_ROWS
    full = full_batch_size or most
    least_waiting = max(_LEAST_QUEUE_ROWS, full * instances)  # a full batch for every worker
    levels = batching.priority_levels
    return BatchLimits(
        # No batch beyond the last allowed size: there is nothing to fill it up to.
        max_batch_size=allowed[-1] if allowed else most,
        max_queue_delay_s=batching.max_queue_delay_microseconds / 1e6,
        max_queue_rows=most_waiting,
        least_queue_rows=min(least_waiting, most_waiting),
        max_queue_wait_s=max_queue_wait_s,
        max_batch_tokens=batching.max_batch_tokens,
        concurrency=instances,
        preferred_batch_size=_up_to(most, batching.preferred_batch_size),
        allowed_batch_sizes=allowed,
        length_buckets=tuple(sorted(set(batching.length_buckets))),
        length_step=length_step,
        priority_levels=levels,
        # The middle: most requests name none, and others may be more or less urgent than those.
        default_priority_level=batching.default_priority_level or (levels and levels // 2 + 1),
        queue_timeout_s=policy.default_timeout_microseconds / 1e6 or None,
        delays_late=policy.timeout_action == "DELAY",
        allow_timeout_override=policy.allow_timeout_override,
        latency_target_s=latency_target_s,
    )


def _up_to(most: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({size for size in sizes if size <= most}))
