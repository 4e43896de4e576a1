"""The knobs of latency and memory, a part of `service.settings.Settings`."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

_EVERY = "*"
_PREFIX = "p95_ms="
_MOST_MS = 3_600_000.0


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _check_target(entry: str) -> str:
    model, target = _parts(entry)
    try:
        is_good = bool(model) and 0.0 < float(target) <= _MOST_MS
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError("must be MODEL=p95_ms=MILLISECONDS, such as digits=p95_ms=20")
    return entry


def _parts(entry: str) -> tuple[str, str]:
    model, _, target = entry.partition("=")
    return model, target.removeprefix(_PREFIX) if target.startswith(_PREFIX) else ""


Targets = Annotated[
    tuple[Annotated[str, AfterValidator(_check_target)], ...], NoDecode, BeforeValidator(_split)
]


class CapacitySettings(BaseSettings):
    """What the server may take and how long an answer should."""

    latency_target: Targets = Field(
        default=(),
        description="what 95 of 100 answers of a model should not take longer than, as "
        "MODEL=p95_ms=20 (repeatable; * for every other model): batches stay small enough for it, which "
        "costs throughput; where it cannot be met they are as large as pays, and nobody is refused for it",
    )
    memory_limit_bytes: int = Field(
        default=0,
        ge=0,
        le=1 << 44,
        description="memory that the server and its workers may take together; a model that would not "
        "fit, at its largest batch, is refused with the numbers. 0: what the container allows, or the "
        "machine has",
    )

    def latency_target_s(self, model: str) -> float:
        """Of one model; 0: none."""
        targets = dict(_parts(entry) for entry in self.latency_target)
        return float(targets.get(model) or targets.get(_EVERY) or 0.0) / 1e3
