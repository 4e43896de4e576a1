"""One request and what became of it; all times are `time.perf_counter()` seconds."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Exchange:
    """`intended_s`: when it was meant to be sent. Latencies count from there, so that neither a busy load
    generator nor a missing connection hides waiting (no coordinated omission).

    `token_s`: when each event with text came. `error`: empty when all is well, else status and code.
    """

    intended_s: float
    sent_s: float = 0.0
    ended_s: float = 0.0
    status: int = 0
    error: str = ""
    token_s: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    @property
    def is_ended(self) -> bool:
        return self.ended_s > 0

    @property
    def is_good(self) -> bool:
        return self.is_ended and not self.error

    @property
    def tokens_per_event(self) -> float:
        """An event may bring several tokens (or a token no text); 1 while the server has not said."""
        return self.output_tokens / len(self.token_s) if self.output_tokens and self.token_s else 1
