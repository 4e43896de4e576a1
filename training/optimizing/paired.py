"""How sure a difference in accuracy is: the variant and the reference, judged on the same items.

Where the main metric is a mean over items, their differences are resampled (paired bootstrap, Efron 1979):
both stumble over the same hard items, so the difference is known far better than either value. Where it is
none, the two intervals are combined as if the items were different ones, which is wider than the truth.
"""

from collections.abc import Sequence

import numpy as np

from models.manifest import ConfidenceInterval, Evaluation
from training.metrics import bootstrap_interval
from training.work import Array

_SEED = 0


def delta_interval(
    reference: Sequence[Evaluation],
    given: Sequence[Evaluation],
    scores: tuple[Array | None, Array | None] = (None, None),
) -> ConfidenceInterval | None:
    """Of given minus reference, 95 %. `scores`: per item [N], reference's and variant's. None where neither
    way is open."""
    before, after = scores
    if before is not None and after is not None and len(before):
        found = bootstrap_interval(
            after.astype(np.float64) - before, lambda rows: float(rows.mean()), _SEED
        )
        return found.model_copy(update={"method": f"paired {found.method}"})
    if not reference or not given:
        return None
    left, right = reference[0].interval, given[0].interval
    if left is None or right is None:
        return None
    delta = given[0].value - reference[0].value
    below = np.hypot(given[0].value - right.low, left.high - reference[0].value)
    above = np.hypot(right.high - given[0].value, reference[0].value - left.low)
    return ConfidenceInterval(
        low=float(delta - below),
        high=float(delta + above),
        method=f"unpaired, from {left.method}",
    )
