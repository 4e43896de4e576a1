"""A token for every row of logits, each by its own request's sampler; one that cannot be chosen is None."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.generation.row import Row
from service.generation.sampling import Choice, sample


def choose(rows: Sequence[Row], logits: NDArray[np.float32]) -> list[Choice | None]:
    """logits [N, V], a line per row."""
    return sample(logits, [(row.sampler, row.answered) for row in rows])
