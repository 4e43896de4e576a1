"""How long a request may take: what its caller says, within what the operator allows.

`x-request-timeout-ms` is what remains of the caller's own deadline when it sends; V2's `parameters.timeout`
says the same in microseconds. Both count from arrival.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import BadRequest, DeadlineExceeded

HEADER = b"x-request-timeout-ms"
_LONGEST_S = 1e6  # of a number that is meant; beyond the operator's limit it is cut, not refused


@dataclass(frozen=True, slots=True)
class Timeouts:
    """From the settings `request_timeout_s` and `max_request_timeout_s`."""

    default_s: float = 30.0
    longest_s: float = 300.0

    def seconds(self, asked_s: float | None) -> float:
        return self.default_s if asked_s is None else min(asked_s, self.longest_s)


def header_timeout_s(headers: Mapping[bytes, bytes]) -> float | None:
    """None when the caller says nothing. Raises BadRequest, or DeadlineExceeded for none left."""
    given = headers.get(HEADER)
    if given is None:
        return None
    try:
        timeout_s = float(given) / 1e3
    except ValueError:
        timeout_s = -1.0
    if not 0 <= timeout_s <= _LONGEST_S:
        raise BadRequest("x-request-timeout-ms must be a number of milliseconds, 0 or more")
    if timeout_s == 0:
        raise DeadlineExceeded("the request's time was over when it arrived")
    return timeout_s
