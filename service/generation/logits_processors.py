"""What changes logits before a token is chosen: biases, penalties, and which tokens may come at all.

Owned by a RowSampler, one per request. Most requests ask for none of it, and their logits are not copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.errors import BadRequest
from service.generation.penalties import Penalties
from service.generation.request import SamplingParams


class Matcher(Protocol):
    """Which tokens a constraint allows next; constraint.py has the one that is compiled."""

    @property
    def may_end(self) -> bool:
        """What has been accepted is a whole answer."""

    @property
    def is_complete(self) -> bool:
        """… and no token can follow."""

    def allowed(self) -> NDArray[np.bool_]:
        """[V], the caller's to change. Raises BadRequest when the constraint has become too costly."""

    def accept(self, token: int) -> None:
        """Go on behind `token`, which was allowed."""


class LogitsProcessors:
    """The order is vLLM's: logit_bias, then penalties; what may not be chosen is -inf, which neither
    changes.

    A stop token may be chosen where the answer may end: from `min_tokens` on, and with a constraint where
    its text is whole, and only there. Where a constraint leaves nothing else, the answer ends even before
    `min_tokens`.
    """

    def __init__(
        self,
        params: SamplingParams,
        prompt: Iterable[int],
        stop: Iterable[int],
        matcher: Matcher | None,
    ) -> None:
        self._min_tokens = params.min_tokens
        self._stop = np.array(sorted(stop), np.intp)
        self._ends = frozenset(stop)
        self._bias_ids = np.array([token for token, _ in params.logit_bias], np.intp)
        self._bias = np.array([bias for _, bias in params.logit_bias], np.float32)
        self._penalties = Penalties(params, prompt) if Penalties.are_asked_for(params) else None
        self._matcher = matcher
        self._is_constant = not (len(self._bias) or self._penalties or matcher)

    @property
    def is_complete(self) -> bool:
        return self._matcher is not None and self._matcher.is_complete

    def accept(self, token: int) -> None:
        if self._penalties is not None:
            self._penalties.accept(token)
        if self._matcher is not None and token not in self._ends:
            self._matcher.accept(token)

    def apply(self, logits: NDArray[np.float32], position: int) -> NDArray[np.float32]:
        """Of logits [V], which stay as they are, those to choose from; the same array where nothing
        changes them. Raises BadRequest where nothing may be chosen."""
        may_stop = position >= self._min_tokens or not len(self._stop)
        if self._is_constant and may_stop:
            return logits
        changed = logits.copy()
        if len(self._bias):
            changed[self._bias_ids] += self._bias
        if self._penalties is not None:
            self._penalties.apply(changed)
        if self._matcher is not None:
            return np.where(self._allowed(self._matcher, may_stop=may_stop), changed, -np.inf)
        if not may_stop:
            changed[self._stop] = -np.inf
        return changed

    def _allowed(self, matcher: Matcher, *, may_stop: bool) -> NDArray[np.bool_]:
        allowed = matcher.allowed()
        allowed[self._stop] = False
        if matcher.may_end and (may_stop or not allowed.any()):
            allowed[self._stop] = True
        if not allowed.any():
            raise BadRequest("no token of this model continues what the constraint asks for")
        return allowed
