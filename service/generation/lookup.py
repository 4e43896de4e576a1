"""Guessing the next tokens from the text so far: what followed the last words when they stood there before.

Prompt lookup (Saxena 2023, https://github.com/apoorvumang/prompt-lookup-decoding), a speculation without a
second model: good where answers quote their prompt. The decode stage checks the guess in one run and keeps
what the sampler would have chosen itself, so a guess can only change when tokens come, not which.
"""

from collections.abc import Iterable

_NGRAMS = (3, 2)  # tokens that must agree, the longest first


class PromptLookup:
    """The tokens of one request, prompt and answer, indexed by what stands before each."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._tokens: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}  # the last but one place behind an n-gram
        self._latest: dict[tuple[int, ...], int] = {}
        self.extend(tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            self._tokens.append(token)
            end = len(self._tokens)
            for size in _NGRAMS:
                if end >= size:
                    ngram = tuple(self._tokens[end - size :])
                    # The n-gram at the very end is the question; the answer is where it stood before.
                    if ngram in self._latest:
                        self._ends[ngram] = self._latest[ngram]
                    self._latest[ngram] = end

    def propose(self, most: int) -> list[int]:
        """At most so many tokens that may come next; none where the last words are new."""
        for size in _NGRAMS:
            end = self._ends.get(tuple(self._tokens[-size:]))
            if end is not None:
                return self._tokens[end : end + most]
        return []
