"""One more token for every running row: the other stage of `engine.step`.

All rows advance in one run. A single row may advance by several tokens, when what follows can be guessed
(`lookup`): one run then reads the guess as well, and each token that the sampler would have chosen is kept.
Reading four tokens takes a 124M decoder as long as one in float32, and 1.6 times as long in int4. The
sampler draws by position, so the tokens are those of plain decoding, up to logits that are nearly tied: a
run of several tokens computes on another path than a run of one, and differs in the last bits (by 0.3 with
int4 weights at accuracy level 4). That is why it is off unless asked for.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from models.errors import SlipwayError
from service.generation.beams import BeamStep
from service.generation.choosing import choose
from service.generation.limits import EngineLimits
from service.generation.lookup import PromptLookup
from service.generation.requests import Requests
from service.generation.row import Row
from service.generation.slots import Slots
from service.generation.stats import EngineStats

_log = logging.getLogger(__name__)

_FAILED = "the model failed while answering this request"


class Decode:
    """Not thread-safe, as everything of the engine."""

    def __init__(
        self, limits: EngineLimits, slots: Slots, requests: Requests, stats: EngineStats
    ) -> None:
        self._limits = limits
        self._slots = slots
        self._requests = requests
        self._stats = stats
        self._search = BeamStep(slots, requests)

    def advance(self) -> None:
        slots = self._slots
        if self._limits.lookup_tokens and len(slots.rows) == 1 and slots.lane is None:
            guess = self._guess(slots.rows[0])
            if guess:
                self._verify(slots.rows[0], guess)
                return
        self._step()

    def _step(self) -> None:
        """One token for every row, in one run over the prefix of the cache."""
        rows, cache = self._slots.rows, self._slots.cache
        try:
            logits = cache.decode(len(rows))
        except Exception:  # somebody's row broke the run: the rows are tried alone to find whose
            _log.exception("decoding %d rows failed; decoding them one by one", len(rows))
            logits = self._apart()
        self._stats.decode_tokens += len(rows)
        self._take(logits)
        self._slots.close_gaps()

    def _take(self, logits: NDArray[np.float32]) -> None:
        """Logits [N, V], a line per row: single rows choose, the rows of a search together."""
        rows = self._slots.rows
        searches = {row.beams: None for row in rows if row.beams is not None}
        single = [index for index, row in enumerate(rows) if row.beams is None]
        lines = logits[single] if searches else logits
        choices = choose([rows[index] for index in single], lines) if single else []
        for index, choice in zip(single, choices, strict=True):
            if not rows[index].ended:
                self._slots.accept(index, choice)
        for beams in searches:
            if not beams.request.ended:
                self._search.advance(beams, logits)

    def _apart(self) -> NDArray[np.float32]:
        """The same step row by row: equal logits, since the kernels are batch-invariant."""
        rows, cache = self._slots.rows, self._slots.cache
        logits = np.zeros((len(rows), cache.graph.vocabulary), np.float32)
        for index, row in enumerate(rows):
            if row.ended:
                continue  # it searched together with one that has failed
            cached = int(cache.lengths[index])
            try:
                logits[index] = cache.feed(index, cached, cache.ids[index])
            except Exception:  # this row is the culprit: it fails, the others keep their token
                _log.exception("decoding one row failed")
                self._requests.fail(row if row.beams is None else row.beams.request, _FAILED)
        return logits

    # -- speculation ------------------------------------------------------------------------------

    def _guess(self, row: Row) -> list[int]:
        if row.lookup is None:
            row.lookup = PromptLookup(row.prompt.tolist())
        row.lookup.extend(row.answer[len(row.lookup) - len(row.prompt) :])
        # The last token that the request may have is chosen from logits, not read.
        return row.lookup.propose(min(self._limits.lookup_tokens, row.limit - row.answered - 1))

    def _verify(self, row: Row, guess: list[int]) -> None:
        """Read the waiting token and the guess in one run, then choose as if one by one. Positions of
        rejected tokens lie beyond the row's length: garbage, like after any failed run."""
        cache = self._slots.cache
        tokens = np.array([int(cache.ids[0, 0]), *guess], np.int64)
        try:
            logits = cache.feed_scored(0, int(cache.lengths[0]), tokens)
        except Exception:  # whatever it was, the guess is optional
            _log.exception("checking a guess failed")
            self._step()
            return
        self._stats.lookup_proposed_tokens += len(guess)
        for index, guessed in enumerate([*guess, None]):
            [choice] = choose([row], logits[index : index + 1])
            self._slots.accept(0, choice)
            self._stats.decode_tokens += 1
            if row.ended or isinstance(choice, SlipwayError) or choice.token != guessed:
                break
            self._stats.lookup_accepted_tokens += 1
        self._slots.close_gaps()
