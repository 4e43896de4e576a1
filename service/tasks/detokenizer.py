"""Tokens → text as they come: whole characters only, and nothing beyond a stop string.

A byte-level token may hold half a character, and a stop string may be spread over tokens; both are held
back until they are certain, so that what was given out is never taken back.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer

from service.tasks.base import TokenReader

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# UTF-8 characters have at most 4 bytes: of a tail still broken after this many tokens, the first is noise.
_LONGEST_CHARACTER_TOKENS = 4


class Detokenizer(TokenReader):
    """One request's reader. `text` is everything given out; `token_count` everything fed."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._ids: list[int] = []
        self._context_start = 0  # decoding begins here, so that spacing rules see what came before
        self._read_end = 0  # tokens before this are in `_pending` or given out
        self._given = ""
        self._pending = ""
        self._done = False
        self.token_count = 0

    @property
    def text(self) -> str:
        return self._given

    @property
    def is_done(self) -> bool:
        return self._done

    def feed(self, token_ids: tuple[int, ...]) -> str:
        if self._done:
            return ""
        given = ""
        for token in token_ids:
            self._ids.append(token)
            self.token_count += 1
            self._pending += self._new_text(is_last=False)
            given += self._release(is_last=False)
            if self._done:
                break
        return given

    def finish(self) -> str:
        if self._done:
            return ""
        self._pending += self._new_text(is_last=True)
        given = self._release(is_last=True)
        self._done = True
        return given

    def _new_text(self, *, is_last: bool) -> str:
        """Text of the tokens not read yet; empty while it ends inside a character."""
        end = len(self._ids)
        whole = self._decode(self._ids[self._context_start :])
        if whole.endswith(_REPLACEMENT) and not is_last:
            if end - self._read_end < _LONGEST_CHARACTER_TOKENS:
                return ""
            end = self._read_end + 1  # the others may yet begin a whole character
            whole = self._decode(self._ids[self._context_start : end])
        known = self._decode(self._ids[self._context_start : self._read_end])
        self._context_start, self._read_end = self._read_end, end
        return whole[len(known) :]

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _release(self, *, is_last: bool) -> str:
        """Move what is certain from `_pending` to `_given`."""
        if not self._stop:  # most requests have none, and this runs once a token
            given, self._pending = self._pending, ""
            self._given += given
            return given
        found = [at for at in (self._pending.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self._done = True
            given, self._pending = self._pending[: min(found)], ""
        else:
            held = 0 if is_last else self._possible_stop_length()
            cut = len(self._pending) - held
            given, self._pending = self._pending[:cut], self._pending[cut:]
        self._given += given
        return given

    def _possible_stop_length(self) -> int:
        """Length of the longest end of `_pending` that may grow into a stop string."""
        longest = max(len(stop) for stop in self._stop) - 1
        for length in range(min(longest, len(self._pending)), 0, -1):
            if any(stop.startswith(self._pending[-length:]) for stop in self._stop):
                return length
        return 0
