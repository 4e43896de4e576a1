"""Models that write, asked for whole answers; answers compared by their tokens."""

import threading
import time

from benchmarks.harness.failures import MeasurementFailed
from service.generation.request import GenerationRequest, SamplingParams
from service.generation.requests import Events
from service.workers.host import ModelHost

ROWS = (1, 8)
# Products of another batch size take another kernel on a GPU, so tokens that are nearly tied may differ.
LEAST_EQUAL = 0.9
_TOKENS = 64
_PROMPT = tuple(range(1, 17))
_LIMIT_S = 60.0


def equal_share(mine: list[int], theirs: list[int]) -> float:
    """Of the answers' tokens, those before the first that differs."""
    same = 0
    for one, other in zip(mine, theirs, strict=True):
        if one != other:
            break
        same += 1
    return same / max(1, len(mine))


def rate_of(host: ModelHost, rows: int) -> float:
    """Tokens per second of so many requests that are written together."""
    began = time.perf_counter()
    answers = written(host, rows)
    return sum(map(len, answers)) / (time.perf_counter() - began)


def written(host: ModelHost, rows: int) -> list[list[int]]:
    """Greedy answers of full length. Raises MeasurementFailed."""
    sampling = SamplingParams(max_tokens=_TOKENS, temperature=0.0, ignore_stop=True)
    payload = GenerationRequest(_PROMPT, sampling).to_json()
    answers: list[list[int]] = [[] for _ in range(rows)]
    problems: list[str] = []
    left, is_over = set(range(rows)), threading.Event()

    def emit(events: Events) -> None:
        for number, event in events:
            answers[number].extend(event.token_ids)
            if event.finish_reason is not None:
                left.discard(number)
                if event.finish_reason != "length":
                    problems.append(event.error or event.finish_reason)
        if not left:
            is_over.set()

    for number in range(rows):
        host.generate(1, number, payload, emit)
    if not is_over.wait(_LIMIT_S):
        raise MeasurementFailed(f"{rows} answers were not written within {_LIMIT_S:g} s")
    if problems:
        raise MeasurementFailed(f"an answer ended early: {problems[0]}")
    return answers
