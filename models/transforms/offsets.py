"""Where tokens stand in the text that a caller sent, in characters that a person would mark.

Tokenizers count the spaces before a word to it, and leave out the accents that their normaliser drops:
both would show in an entity cut out of the text.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np

_MARKS = frozenset({"Mn", "Me"})
# Of one letter; as many as Unicode's stream-safe text format has (UAX #15). Without a bound a text of
# nothing but marks is read to its end once for each of its tokens.
_MOST_MARKS = 30


def settled(
    offsets: Sequence[tuple[int, int]], sequence: np.ndarray, texts: tuple[str, ...]
) -> np.ndarray:
    """int64 [T, 2]: without spaces at the start or the end, with the marks that belong to the last
    letter. `sequence` int64 [T] chooses the text; special tokens (−1) have 0."""
    answer = np.zeros((len(sequence), 2), dtype=np.int64)
    for token, (place, which) in enumerate(zip(offsets, sequence.tolist(), strict=True)):
        if which >= 0:
            answer[token] = _settled(texts[which], *place)
    return answer


def _settled(text: str, start: int, end: int) -> tuple[int, int]:
    first, last = start, end
    while first < last and text[first].isspace():
        first += 1
    while last > first and text[last - 1].isspace():
        last -= 1
    if first == last:  # a token that is nothing but a space stays where it is
        return start, end
    most = min(len(text), last + _MOST_MARKS)
    while last < most and not text[last].isascii() and _is_mark(text[last]):
        last += 1
    return first, last


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in _MARKS
