"""W3C trace context (level 1): `traceparent` in, the same trace with a span of our own out.

A request without the header costs nothing here unless spans are exported; then a share of such requests
starts a trace. An unreadable header starts a new trace, as the recommendation asks.
"""

import os
import random
import re
from dataclasses import dataclass

_HEADER = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1

# Ids must be unlikely to meet, not hard to guess; a system call per request would cost more than the rest.
_random = random.Random(os.urandom(16))
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(16)))


@dataclass(frozen=True, slots=True)
class Trace:
    """Our span in a trace. Ids are lower-case hex; `parent_id` is empty at the root."""

    trace_id: str
    span_id: str
    parent_id: str
    is_sampled: bool

    @property
    def header(self) -> bytes:
        """What the answer's `traceparent` says."""
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}".encode("ascii")


def child_of(given: bytes) -> Trace | None:
    """A span below the caller's; None when the header cannot be read."""
    found = _HEADER.fullmatch(given)
    if found is None:
        return None
    version, trace_id, parent_id, flags, rest = found.groups()
    if version == b"ff" or (version == b"00" and rest) or not (trace_id.strip(b"0")):
        return None
    if not parent_id.strip(b"0"):
        return None
    is_sampled = bool(int(flags, 16) & _SAMPLED)
    return Trace(trace_id.decode("ascii"), _hex(64), parent_id.decode("ascii"), is_sampled)


def new_trace(is_sampled: bool) -> Trace:
    return Trace(_hex(128), _hex(64), "", is_sampled)


def by_chance(share: float) -> bool:
    return share > 0 and _random.random() < share


def _hex(bits: int) -> str:
    """Never all zeros, which stands for "no id"."""
    return f"{_random.getrandbits(bits) or 1:0{bits // 4}x}"
