"""A caller's share: how many of its requests may be under way at once, so that one caller cannot take what
all the others need.

Callers are told apart by a header (an API key, a tenant's name); those that send none are one caller.
Names are kept as digests and only while a request is under way; they reach no log and no metric. Every
front end counts for itself, with its part of the quota.

Not promised: that a name is genuine. Whoever can make names up gets a share for each of them, so the
header must be one that a gateway checks or sets.
"""

import hashlib
import math
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from service.errors import QuotaExceeded

_DIGEST_BYTES = 16
_SHORTEST_S, _LONGEST_S = 1.0, 30.0
_KEPT = 0.9  # of the mean time, per request that ends


class Place(NamedTuple):
    """One request's; given back once. `caller`: a digest of its name. `began`: monotonic seconds."""

    caller: bytes
    began: float


class CallerQuota:
    """`header`: lower case. `most`: requests under way per caller; 0: no limit, callers are told apart all
    the same. `clock`: monotonic seconds."""

    def __init__(
        self, header: bytes, most: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._header = header
        self._most = most
        self._clock = clock
        self._salt = os.urandom(_DIGEST_BYTES)
        self._under_way: dict[bytes, int] = {}
        self._mean_s = 0.0

    @classmethod
    def of(cls, header: str, most: int, front_ends: int) -> "CallerQuota | None":
        """None where callers are not told apart."""
        return cls(header.lower().encode(), math.ceil(most / front_ends)) if header else None

    def __len__(self) -> int:
        return len(self._under_way)

    def enter(self, headers: Mapping[bytes, bytes]) -> Place:
        """Raises QuotaExceeded, which says how long a request of late has taken."""
        name = headers.get(self._header, b"")
        caller = hashlib.blake2b(name, digest_size=_DIGEST_BYTES, key=self._salt).digest()
        count = self._under_way.get(caller, 0)
        if self._most and count >= self._most:
            wait_s = min(max(self._mean_s, _SHORTEST_S), _LONGEST_S)
            raise QuotaExceeded(
                f"{count} of this caller's requests are under way, as many as it may have at once",
                wait_s * (1 + random.random() / 4),
            )
        self._under_way[caller] = count + 1
        return Place(caller, self._clock())

    def leave(self, place: Place) -> None:
        """Once per place."""
        left = self._under_way[place.caller] - 1
        if left:
            self._under_way[place.caller] = left
        else:
            del self._under_way[place.caller]
        took_s = self._clock() - place.began
        self._mean_s = self._mean_s * _KEPT + took_s * (1 - _KEPT)
