"""What a request may take: until when, how urgent it is, whose it is. A route sets it, every stage obeys."""

from dataclasses import dataclass

from service.errors import BadRequest, DeadlineExceeded

_LONGEST_TIMEOUT_US = 10**15
_LOWEST_PRIORITY = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Terms:
    """`deadline`: monotonic seconds, None for never. `is_own_deadline`: the caller named it, it is not the
    server's default. `priority`: 1 is the highest, 0 the model's default. `caller`: where callers are
    told apart."""

    deadline: float | None = None
    is_own_deadline: bool = False
    priority: int = 0
    caller: bytes | None = None

    def check(self, now: float) -> None:
        """Between stages: raises DeadlineExceeded, so that nothing more is done for nobody."""
        if self.deadline is not None and self.deadline <= now:
            raise DeadlineExceeded("the request's time was over before its work was done")


def take_timeout_s(parameters: dict[str, object]) -> float | None:
    """V2's `timeout` (microseconds; 0 names none), taken out of `parameters`. Raises BadRequest."""
    timeout_us = _whole(parameters, "timeout", _LONGEST_TIMEOUT_US)
    return timeout_us / 1e6 if timeout_us else None


def take_priority(parameters: dict[str, object]) -> int:
    """V2's `priority`, taken out of `parameters`. Raises BadRequest."""
    return _whole(parameters, "priority", _LOWEST_PRIORITY)


def _whole(parameters: dict[str, object], name: str, most: int) -> int:
    value = parameters.pop(name, None)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= most:
        raise BadRequest(f"parameters.{name} must be a whole number from 0 to {most}")
    return value
