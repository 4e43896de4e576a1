"""Scores of tags → tags of words → entities. Letters: W words, T tokens, K tags.

A tag is `O`, or a prefix and a type: `B-PER` begins a person, `I-PER` goes on with it (Ramshaw and Marcus
1995). Other schemes, which published checkpoints have, are read too: `E`/`L` end an entity, `S`/`U` are
one of a single word, a type without prefix joins its neighbours of the same type.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from models.errors import ManifestInvalid
from models.transforms.scores import softmax

OUTSIDE = "O"
_BEGINS, _GOES_ON, _ENDS = frozenset("BSU"), frozenset("IEL"), frozenset("ESLU")
_IMPOSSIBLE = -1e9

WordScore = Literal["first", "mean", "max"]


class Span(NamedTuple):
    """Words `start` … `end` − 1 are an entity of `type`."""

    type: str
    start: int
    end: int


class Tag(NamedTuple):
    prefix: str
    type: str


def read_tag(name: str) -> Tag:
    """`B-PER` → B, PER. `O` has neither; a name without prefix goes on with its own type."""
    prefix, dash, kind = name.partition("-")
    if name == OUTSIDE:
        return Tag(OUTSIDE, "")
    return Tag(prefix, kind) if dash and prefix in tuple("BIESLU") and kind else Tag("I", name)


def entities(tags: Sequence[str]) -> list[Span]:
    """Entities of a sequence, leniently: whatever its transitions, every word with a type is in one."""
    found: list[Span] = []
    start, previous = 0, Tag(OUTSIDE, "")
    for position, name in enumerate((*tags, OUTSIDE)):
        tag = read_tag(name)
        is_new = tag.type != previous.type or tag.prefix in _BEGINS or previous.prefix in _ENDS
        if is_new:
            if previous.type:
                found.append(Span(previous.type, start, position))
            start = position
        previous = tag
    return found


def strict_entities(tags: Sequence[str]) -> list[Span]:
    """Entities of BIO tags by seqeval's strict rule: only `B-X` and the `I-X` right after it; an `I-X`
    that follows anything else belongs to none."""
    found: list[Span] = []
    is_open = False
    for position, name in enumerate(tags):
        tag = read_tag(name)
        if tag.prefix == "B":
            found.append(Span(tag.type, position, position + 1))
        elif is_open and tag == Tag("I", found[-1].type):
            found[-1] = found[-1]._replace(end=position + 1)
        is_open = bool(found) and found[-1].end == position + 1
    return found


def to_bio(tags: Sequence[str]) -> list[str]:
    """The same entities in BIO, from any of the schemes above."""
    result = [OUTSIDE] * len(tags)
    for kind, start, end in entities(tags):
        result[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return result


class TagDecoder:
    """The tags of one model. Raises ManifestInvalid when there is none to choose from."""

    def __init__(self, labels: Sequence[str]) -> None:
        if not labels:
            raise ManifestInvalid("the model has no tags")
        self.labels = tuple(labels)
        self._tags = [read_tag(label) for label in labels]
        self._may_follow = _transitions(self._tags)  # bool [K, K]: from row to column
        self._may_start = np.array([tag.prefix != "I" for tag in self._tags])
        # Other schemes come from other people's training; their sequences are read as they are.
        self._is_bio = all(
            label == OUTSIDE or label.startswith(("B-", "I-")) for label in labels
        ) and all(Tag("B", tag.type) in self._tags for tag in self._tags if tag.prefix == "I")

    def best(self, probabilities: np.ndarray) -> np.ndarray:
        """int64 [W]: the likeliest sequence that BIO allows (Viterbi 1967), given [W, K]."""
        if not self._is_bio or not len(probabilities):
            return np.asarray(probabilities.argmax(axis=1))
        scores = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
        forbidden = np.where(self._may_follow, 0.0, _IMPOSSIBLE)
        total = scores[0] + np.where(self._may_start, 0.0, _IMPOSSIBLE)
        came_from = np.zeros(probabilities.shape, dtype=np.int64)
        for word in range(1, len(scores)):
            through = total[:, None] + forbidden
            came_from[word] = through.argmax(axis=0)
            total = through.max(axis=0) + scores[word]
        path = np.empty(len(scores), dtype=np.int64)
        path[-1] = total.argmax()
        for word in range(len(scores) - 1, 0, -1):
            path[word - 1] = came_from[word, path[word]]
        return path

    def spans(self, probabilities: np.ndarray) -> list[tuple[Span, float]]:
        """Entities with their scores: the mean, over an entity's words, of the probability of its type."""
        path = self.best(probabilities)
        kinds = [tag.type for tag in self._tags]
        found = []
        for span in entities([self.labels[tag] for tag in path]):
            columns = [column for column, kind in enumerate(kinds) if kind == span.type]
            rows = probabilities[span.start : span.end, columns]
            found.append((span, min(1.0, float(rows.sum(axis=1).mean()))))
        return found


def word_probabilities(
    logits: np.ndarray,
    word_ids: np.ndarray,
    how: WordScore = "first",
    temperature: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """(words int64 [W], probabilities float32 [W, K]) of the words that have tokens.

    `logits` [T, K], `word_ids` [T], negative for special tokens. `first`: of a word's first token;
    `mean`: over its tokens; `max`: of its most certain token.
    """
    tokens = np.flatnonzero(word_ids[: len(logits)] >= 0)
    probabilities = softmax(logits[tokens], temperature) if tokens.size else logits[tokens]
    words, first = np.unique(word_ids[tokens], return_index=True)
    if how == "first" or not words.size:
        return words, probabilities[first]
    if how == "mean":
        counts = np.diff(np.append(first, len(tokens)))
        sums = np.add.reduceat(probabilities, first, axis=0)
        return words, (sums / counts[:, None]).astype(np.float32)
    certainty = probabilities.max(axis=1)
    ends = np.append(first[1:], len(tokens))
    best = [
        start + int(certainty[start:end].argmax()) for start, end in zip(first, ends, strict=True)
    ]
    return words, probabilities[best]


def _transitions(tags: Sequence[Tag]) -> np.ndarray:
    """bool [K, K]: `I-X` follows `B-X` and `I-X` alone; anything else follows everything."""
    return np.array(
        [[after.prefix != "I" or before.type == after.type for after in tags] for before in tags]
    )
