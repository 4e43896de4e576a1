"""One answer under a constraint: which tokens may come next, from llguidance's parser.

Made by grammars.py, advanced by the request's LogitsProcessors on the engine's thread. The parser works on
bytes, so any tokenization of an allowed text is allowed. Its limits bound a single step; what many costly
steps may take together is bounded here, because everybody's tokens wait for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.errors import BadRequest

if TYPE_CHECKING:
    from llguidance import LLMatcher

# Ordinary schemas take 5 to 200 µs a token at a vocabulary of 32,000, and some milliseconds for a first one.
_ALLOWANCE_S = 0.5
_PER_TOKEN_S = 0.002
_LONGEST_SENTENCE = 500


class GrammarMatcher:
    """The state of one answer. Shapes: V vocabulary.

    `end_token` stands for the end in the parser's mask; no model has it. `clock`: CPU seconds of this
    thread, so that a busy machine makes no grammar look costly.
    """

    def __init__(
        self,
        matcher: LLMatcher,
        vocabulary: int,
        end_token: int,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._end_token = end_token
        self._end_word, self._end_bit = end_token // 32, 1 << end_token % 32
        self._clock = clock
        self._spent_s = 0.0
        self._tokens = 0
        words = (max(vocabulary, end_token + 1) + 31) // 32
        self._mask = np.zeros(words, np.uint32)
        self._find()

    @property
    def may_end(self) -> bool:
        return self._may_end

    @property
    def is_complete(self) -> bool:
        return self._is_complete

    @property
    def spent_s(self) -> float:
        """CPU time of all `accept`s."""
        return self._spent_s

    def allowed(self) -> NDArray[np.bool_]:
        """[V], a fresh array."""
        bits = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._vocabulary]
        if self._end_token < self._vocabulary:
            bits[self._end_token] = 0  # a place of a padded head that no token has
        return bits.view(np.bool_)

    def accept(self, token: int) -> None:
        """Raises BadRequest when what may follow has become too costly to find."""
        began = self._clock()
        self._matcher.consume_token(token)
        self._tokens += 1
        self._find()
        self._spent_s += self._clock() - began
        if self._spent_s > _ALLOWANCE_S + _PER_TOKEN_S * self._tokens:
            raise BadRequest(
                "the constraint is too complex: it costs more time than the model; simplify it"
            )

    def _find(self) -> None:
        if not self._matcher.is_error():
            self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        if self._matcher.is_error():
            raise BadRequest(f"the constraint cannot be followed: {sentence(self._matcher)}")
        word = int(self._mask[self._end_word])
        self._may_end = bool(word & self._end_bit)
        self._is_complete = word == self._end_bit and np.count_nonzero(self._mask) == 1


def sentence(matcher: LLMatcher) -> str:
    """What llguidance says, without the state that it prints after it, and in bounds."""
    message = matcher.get_error().partition("\n<")[0].strip()
    if message.startswith("NoExtension"):
        return "no text satisfies it"
    if not message:
        message = f"it has become too complex ({matcher.stop_reason()})"
    return message if len(message) <= _LONGEST_SENTENCE else f"{message[:_LONGEST_SENTENCE]} …"
