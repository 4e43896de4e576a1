"""Every request that the engine knows, from its submission to its last event, and what is told about it.

The one place where a request ends: its events stop, its reservation or its place in the queue is free.
The slot that it held is closed by `slots` afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from models.errors import InferenceFailed, SlipwayError
from models.transforms.beams import Beam
from service.generation.deadlines import Deadlines
from service.generation.ledger import KvLedger
from service.generation.request import FinishReason, GenerationEvent, RankedAnswer
from service.generation.row import Row
from service.generation.sampling import Choice
from service.generation.stats import EngineStats
from service.generation.waiting import WaitingQueue

Events = list[tuple[int, GenerationEvent]]


class Requests:
    """`waiting`: those that have no slot yet. How each ended is counted in `stats`."""

    def __init__(
        self,
        waiting: WaitingQueue,
        ledger: KvLedger,
        stats: EngineStats,
        clock: Callable[[], float],
    ) -> None:
        self.waiting = waiting
        self._ledger = ledger
        self._stats = stats
        self._clock = clock
        self._deadlines = Deadlines()
        self._rows: dict[int, Row] = {}
        self._events: Events = []

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, request_id: int) -> bool:
        return request_id in self._rows

    @property
    def has_news(self) -> bool:
        return bool(self._events)

    def find(self, request_id: int) -> Row | None:
        return self._rows.get(request_id)

    def all(self) -> list[Row]:
        return list(self._rows.values())

    def add(self, row: Row) -> None:
        assert row.request_id not in self._rows, "a request id is used twice"
        self._rows[row.request_id] = row
        self._deadlines.add(row)
        self.waiting.push(row)

    def out_of_time(self, now: float) -> list[Row]:
        return self._deadlines.over(now)

    def take_events(self) -> Events:
        events, self._events = self._events, []
        return events

    def answer(self, row: Row, choice: Choice) -> None:
        """A token of the answer; it ends with the last one that the request may have, or when its
        constraint is met and nothing can follow."""
        reason: FinishReason | None = "length" if row.answered == row.limit else None
        if row.sampler.is_complete:
            reason = "stop"
        logprobs = () if choice.logprobs is None else (choice.logprobs,)
        score = None if reason is None else _score(row)
        event = GenerationEvent((choice.token,), reason, logprobs=logprobs, score=score)
        self._tell(row, event)
        if reason is not None:
            self._forget(row, reason)

    def found(self, row: Row, ended: Sequence[Beam]) -> None:
        """The answers of a beam search, the best first; it is over."""
        best, *others = [
            RankedAnswer(beam.tokens, beam.score, "stop" if beam.has_stopped else "length")
            for beam in ended[: row.sampler.params.n]
        ]
        event = GenerationEvent(
            best.token_ids, best.finish_reason, score=best.score, alternatives=tuple(others)
        )
        self._tell(row, event)
        self._forget(row, best.finish_reason)

    def end(self, row: Row, reason: FinishReason) -> None:
        score = _score(row) if reason == "stop" else None
        self._tell(row, GenerationEvent(finish_reason=reason, score=score))
        self._forget(row, reason)

    def fail(self, row: Row, message: str) -> None:
        """The request ends as ours to look into; nobody else's does."""
        self.refuse(row, InferenceFailed(message), "error")

    def refuse(self, row: Row, error: SlipwayError, reason: str) -> None:
        """End with an error; `reason` is the word that it is counted under."""
        self._tell(row, refusal(error))
        self._forget(row, reason)

    def _tell(self, row: Row, event: GenerationEvent) -> None:
        """The first event says how the request was taken in, if it was."""
        if not row.is_told and row.fed == len(row.prompt):
            scores = () if row.prompt_logprobs is None else (None, *row.prompt_scores)
            event = replace(
                event,
                cached_tokens=row.cached_tokens,
                queue_s=row.admitted_s - row.arrived_s,
                prefill_s=self._clock() - row.admitted_s,
                prompt_logprobs=scores,
            )
        row.is_told = True
        self._events.append((row.request_id, event))

    def _forget(self, row: Row, reason: str) -> None:
        row.ended = True
        if row.beams is not None:
            row.beams.end()
        if row.is_waiting:
            self.waiting.left(row)
        else:
            self._ledger.release(row)
        self._stats.count_end(reason)
        del self._rows[row.request_id]


def _score(row: Row) -> float | None:
    """Comparable with a beam's; None where nobody asked for log-probabilities."""
    if row.source is None or not row.scored:
        return None
    penalty: float = row.scored**row.sampler.params.length_penalty
    return row.log_probability / penalty


def refusal(error: SlipwayError) -> GenerationEvent:
    """The last event of a request that ends with this error."""
    return GenerationEvent(
        finish_reason="error",
        error=error.public,
        code=error.reason,
        retry_after_s=error.retry_after_s,
    )
