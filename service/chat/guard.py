"""Texts of callers stay text: a control token's name in a message does not become the token.

Templates put control tokens and messages into one text, and the tokenizer cannot tell which of the two a
`<|im_end|>` in it comes from; a user who writes one would end their own turn and begin another's. So every
such name in a caller's text is broken up by a mark, one character that nothing in the conversation
contains, before the template sees it; the laid-out text is then tokenized in pieces, from mark to mark, and
no piece holds a whole name. Conversations without such names, nearly all, are tokenized in one piece,
exactly as transformers does.

Control tokens are the tokenizer's special ones and those added tokens that the template itself writes (some
families' role tags are not marked special). Of an assistant's own turns only the special ones are broken up:
templates look for its other tags, such as </think>, in what it said before.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from tokenizers import AddedToken, Tokenizer

from service.chat.template import ConversationInvalid

JsonT = TypeVar("JsonT")

# Unicode's noncharacters: no text that is meant for people has them.
_MARKS = tuple(chr(code) for code in range(0xFDD0, 0xFDF0))


class Guard:
    """Knows one bundle's control tokens. `template`: the text of its chat template."""

    def __init__(self, tokenizer: Tokenizer, template: str) -> None:
        self._tokenizer = tokenizer
        # Runs of blanks that some tokenizers add are plain text.
        added = [
            token
            for token in tokenizer.get_added_tokens_decoder().values()
            if token.content.strip()
        ]
        special = [token for token in added if token.special]
        written = [token for token in added if token.content.strip() in template]
        self._special = _Names(special, tokenizer)
        self._all = _Names([*special, *written], tokenizer)

    def mark_for(self, *values: object) -> str:
        """A character that is nowhere in `values`. Raises ConversationInvalid when all are taken."""
        present = {
            char for value in values for text in _texts(value) for char in _MARKS if char in text
        }
        for mark in _MARKS:
            if mark not in present:
                return mark
        raise ConversationInvalid("the messages hold Unicode noncharacters; leave them out")

    def broken(self, value: JsonT, mark: str, *, is_own: bool = False) -> JsonT:
        """`value` with every control token's name in its texts and keys broken up by `mark`. `is_own`: the
        model said it itself."""
        names = self._special if is_own else self._all
        return _mapped(value, names, mark)

    def encode(self, text: str, mark: str) -> tuple[int, ...]:
        """Token ids of a laid-out text; nothing is put before or behind."""
        pieces = [piece for piece in text.split(mark) if piece]
        return tuple(
            token
            for piece in pieces
            for token in self._tokenizer.encode(piece, add_special_tokens=False).ids
        )


class _Names:
    """Finds names of tokens in a text: whole ones, and the beginning of one at the text's end, which what
    the template puts behind it might complete."""

    def __init__(self, tokens: Sequence[AddedToken], tokenizer: Tokenizer) -> None:
        ordered = sorted({token.content for token in tokens}, key=len, reverse=True)
        self._single = {name for name in ordered if len(name) == 1}
        folds = tokenizer.normalizer is not None and any(token.normalized for token in tokens)
        self._normalizer = tokenizer.normalizer if folds else None
        # A look-ahead, so that names within names are found too.
        found = "|".join(re.escape(name) for name in ordered)
        self._pattern = re.compile(f"(?={found})") if ordered else None
        self._beginnings = {name[:end] for name in ordered for end in range(1, len(name))}
        self._longest = max((len(name) for name in ordered), default=1)

    def broken(self, text: str, mark: str) -> str:
        if self._pattern is None or not text:
            return text
        if self._single and any(name in text for name in self._single):
            raise ConversationInvalid("the messages hold a character that this model reserves")
        cuts = {match.start() + 1 for match in self._pattern.finditer(text)}
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            if text[start:] in self._beginnings:
                cuts.add(start + 1)
        edges = [0, *sorted(cuts), len(text)]
        pieces = [text[a:b] for a, b in pairwise(edges)]
        if self._normalizer is not None:
            self._refuse_disguised(pieces)
        return mark.join(pieces)

    def _refuse_disguised(self, pieces: Sequence[str]) -> None:
        """Where names are looked for in normalised text, other letters may stand for one."""
        assert self._pattern is not None
        assert self._normalizer is not None
        for piece in pieces:
            if self._pattern.search(self._normalizer.normalize_str(piece)):
                raise ConversationInvalid("the messages hold a control token's name in disguise")


def _mapped(value: JsonT, names: _Names, mark: str) -> JsonT:
    if isinstance(value, str):
        return names.broken(value, mark)  # type: ignore[return-value]
    if isinstance(value, list):
        return [_mapped(part, names, mark) for part in value]  # type: ignore[return-value]
    if isinstance(value, Mapping):
        return {  # type: ignore[return-value]
            names.broken(str(key), mark): _mapped(part, names, mark) for key, part in value.items()
        }
    return value


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield str(key)
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
