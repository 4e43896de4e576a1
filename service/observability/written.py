"""What one model version has written for callers, as the front end sees it: vLLM's measures, base units.

The first token's time and the gaps between tokens are what callers wait for, so they are taken here and not
in the engine. Cells are dumped and added like those of `meters`, which holds one of these.
"""

from collections import defaultdict
from typing import Any

from service.observability.histogram import Histogram

TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


class WrittenMeters:
    """`finished`: finish reason → answers; `abort` is a caller that left or a stream that nobody read.
    `streams_open`: event streams under way, a gauge."""

    def __init__(self) -> None:
        self.time_to_first_token = Histogram()
        self.inter_token_latency = Histogram()
        self.e2e_latency = Histogram()
        self.request_prompt_tokens = Histogram(TOKENS)
        self.request_generation_tokens = Histogram(TOKENS)
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.finished: defaultdict[str, int] = defaultdict(int)
        self.streams_open = 0

    @property
    def is_used(self) -> bool:
        return self.prompt_tokens > 0

    def began(self, prompt_tokens: int) -> None:
        self.prompt_tokens += prompt_tokens
        self.request_prompt_tokens.observe(prompt_tokens)

    def tokens_came(self, tokens: int, since_s: float, *, is_first: bool) -> None:
        """`since_s`: since the request began, or since its last tokens; tokens that came together
        share it."""
        self.generation_tokens += tokens
        if is_first:
            self.time_to_first_token.observe(since_s)
        else:
            self.inter_token_latency.observe(since_s / tokens, tokens)

    def ended(self, finish_reason: str, generation_tokens: int, seconds: float) -> None:
        self.finished[finish_reason] += 1
        self.request_generation_tokens.observe(generation_tokens)
        self.e2e_latency.observe(seconds)

    def histograms(self) -> dict[str, Histogram]:
        """Name of the family without prefix → its cell."""
        return {
            "time_to_first_token_seconds": self.time_to_first_token,
            "inter_token_latency_seconds": self.inter_token_latency,
            "e2e_request_latency_seconds": self.e2e_latency,
            "request_prompt_tokens": self.request_prompt_tokens,
            "request_generation_tokens": self.request_generation_tokens,
        }

    def dump(self) -> dict[str, Any]:
        """The counters; histograms go with the model's others."""
        return {
            "sums": [self.prompt_tokens, self.generation_tokens],
            "finished": dict(self.finished),
            "streams_open": self.streams_open,
        }

    def add(self, dump: dict[str, Any]) -> None:
        """What another front end counted, too; the gauge is not touched."""
        prompt_tokens, generation_tokens = dump["sums"]
        self.prompt_tokens += prompt_tokens
        self.generation_tokens += generation_tokens
        for reason, count in dump["finished"].items():
            self.finished[reason] += count
