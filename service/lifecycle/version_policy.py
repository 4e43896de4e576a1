"""Which of a model's versions are served: Triton's three policies, written on one line.

latest=2          the two newest sound versions; one that fails gives its place to the next older
all               every sound version
specific=1,3      these, where they exist and are sound
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from models.naming import is_version

_EXPECTED = "write latest=N, all, or specific=V,V,…"


@dataclass(frozen=True)
class VersionPolicy:
    """`count` belongs to latest, `versions` to specific."""

    kind: Literal["latest", "all", "specific"] = "latest"
    count: int = 1
    versions: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: object) -> "VersionPolicy":
        """Raises ValueError saying what was expected."""
        if isinstance(text, cls):
            return text
        kind, _, value = str(text).strip().partition("=")
        if kind == "all" and not value:
            return cls("all")
        if kind == "latest" and (not value or is_version(value)):
            return cls("latest", int(value or 1))
        numbers = [part.strip() for part in value.split(",")]
        if kind == "specific" and all(is_version(number) for number in numbers):
            return cls("specific", versions=tuple(sorted({int(number) for number in numbers})))
        raise ValueError(_EXPECTED)

    @classmethod
    def only(cls, version: int) -> "VersionPolicy":
        return cls("specific", versions=(version,))

    def candidates(self, found: Iterable[int]) -> list[int]:
        """In the order in which they are tried: newest first."""
        newest_first = sorted(found, reverse=True)
        if self.kind == "specific":
            return [number for number in newest_first if number in self.versions]
        return newest_first

    @property
    def most(self) -> int | None:
        """How many are served at once; None: all candidates."""
        return self.count if self.kind == "latest" else None

    def __str__(self) -> str:
        if self.kind == "specific":
            return f"specific={','.join(map(str, self.versions))}"
        return f"latest={self.count}" if self.kind == "latest" else "all"
