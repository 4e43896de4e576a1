"""What a check found: one line of the report."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["passed", "failed", "measured", "not run"]


@dataclass(frozen=True)
class Result:
    """`figure` in `unit`; `target` in words. `verdict` measured: a figure without a target; not run: `detail`
    says why."""

    what: str
    verdict: Verdict
    figure: float | None = None
    unit: str = ""
    target: str = ""
    detail: str = ""

    def to_json(self) -> str:
        members = asdict(self)
        if self.figure is not None and not math.isfinite(self.figure):
            members["figure"] = None
        return json.dumps(members)

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Raises ValueError or TypeError for what `to_json` did not write."""
        members: Any = json.loads(text)
        return cls(**members)


def judged(what: str, passed: bool, **more: Any) -> Result:
    return Result(what, "passed" if passed else "failed", **more)


def at_least(what: str, figure: float, limit: float, unit: str = "", detail: str = "") -> Result:
    target = f"≥ {limit:g} {unit}".strip()
    return judged(what, figure >= limit, figure=figure, unit=unit, target=target, detail=detail)


def at_most(what: str, figure: float, limit: float, unit: str = "", detail: str = "") -> Result:
    target = f"≤ {limit:g} {unit}".strip()
    return judged(what, figure <= limit, figure=figure, unit=unit, target=target, detail=detail)


def not_run(what: str, why: str) -> Result:
    return Result(what, "not run", detail=why)
