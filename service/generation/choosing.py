"""A token for every row of logits, each by its own request's sampler: what one row breaks stays its own."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import InferenceFailed, SlipwayError
from service.generation.row import Row
from service.generation.sampling import Choice, sample

_log = logging.getLogger(__name__)


def choose(rows: Sequence[Row], logits: NDArray[np.float32]) -> list[Choice | SlipwayError]:
    """logits [N, V], a line per row. An error where the row has no choice."""
    try:
        return sample(logits, [(row.sampler, row.answered) for row in rows])
    except Exception:  # somebody's sampler is broken; choosing changes nothing and can be repeated
        _log.exception("choosing %d tokens failed; choosing them one by one", len(rows))
        return [_choose_alone(row, line) for row, line in zip(rows, logits, strict=True)]


def accept(row: Row, token: int) -> SlipwayError | None:
    """Tell the row's sampler that `token` belongs to the answer."""
    try:
        row.sampler.accept(token)
    except SlipwayError as error:
        return error
    except Exception:  # a defect of that sampler alone
        _log.exception("a sampler did not take its own token")
        return InferenceFailed("the model failed while answering this request")
    return None


def _choose_alone(row: Row, line: NDArray[np.float32]) -> Choice | SlipwayError:
    try:
        return sample(line[np.newaxis], [(row.sampler, row.answered)])[0]
    except Exception:  # this row is the culprit
        _log.exception("choosing one token failed")
        return InferenceFailed("the model failed while answering this request")
