"""How much accuracy a variant may cost, and whether one costs more.

The main metric may lose `points` (0.005: half a point of a hundred) where it is a share, that is, where
more is better and the reference lies between −1 and 1: accuracy, F1, recall, rank correlation. A metric with
a scale of its own (bits per byte, decibels, an error) may lose the part `relative` of itself (0.01). Never
the larger of both: 1 % of an accuracy of 98 % would be nearly a whole point. Answers that are vectors must
also keep their direction: the mean cosine with the reference's, over held-out items, is at least `cosine`.

The measured difference decides, not its interval; the interval is stored beside it.
"""

from collections.abc import Sequence

from pydantic import Field

from models.manifest import Evaluation
from training.config import ConfigRecord

# Shares of few items are steps: 0.005 of 200 items is one, which 1 - 0.995 exceeds by rounding.
_ROUNDING = 1e-9


class Budget(ConfigRecord):
    """Limits; each holds where its figure exists."""

    points: float = Field(
        default=0.005, ge=0, description="most that a main metric that is a share may lose"
    )
    relative: float = Field(
        default=0.01,
        ge=0,
        description="part of itself that a main metric with a scale of its own may lose",
    )
    cosine: float = Field(
        default=0.999,
        ge=-1,
        le=1,
        description="least mean cosine of an embedding with the reference's",
    )

    def objection(self, reference: Sequence[Evaluation], given: Sequence[Evaluation]) -> str:
        """Why figures `given` may not be published; empty: they may, or nothing was evaluated."""
        if not reference:
            return ""
        main, delta = reference[0], given[0].value - reference[0].value
        lost = -delta if main.higher_is_better else delta
        if is_share(main):
            return _over(lost, self.points, f"loses {lost:.4f} of {main.metric}, more than")
        part = lost / abs(main.value) if main.value else float(lost > 0)
        if part <= self.relative + _ROUNDING:
            return ""
        return f"loses {part:.2%} of {main.metric}, more than {self.relative:.2%}"

    def objection_to_cosine(self, cosine: float | None) -> str:
        """`cosine` of vectors; None where answers are none."""
        if cosine is None or cosine >= self.cosine:
            return ""
        return f"cosine {cosine:.5f} with the reference, less than {self.cosine:g}"


def is_share(main: Evaluation) -> bool:
    return main.higher_is_better and abs(main.value) <= 1


def _over(lost: float, limit: float, words: str) -> str:
    return f"{words} {limit:g}" if lost > limit + _ROUNDING else ""
