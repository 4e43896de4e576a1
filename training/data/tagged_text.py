"""Sentences with a tag for every word, already split: what readers hand to token classification."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.transforms.tags import OUTSIDE, read_tag


@dataclass(frozen=True)
class TaggedSentence:
    """`tags` are BIO, one for every word. Words are kept as the file has them."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


Sentences = tuple[TaggedSentence, ...]


@dataclass(frozen=True)
class TaggedData:
    """A data set: `validation` chooses and calibrates, `test` only judges."""

    name: str
    labels: tuple[str, ...]  # O first, then B-X and I-X of every type
    train: Sentences
    validation: Sentences
    test: Sentences
    notes: tuple[str, ...] = ()  # what a reader of the run should know

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(read_tag(label).type for label in self.labels if label.startswith("B-"))

    def sha256(self) -> str:
        """Over tags and all splits, so that any change of data, split or order shows."""
        digest = hashlib.sha256("\0".join(self.labels).encode())
        for split in (self.train, self.validation, self.test):
            for sentence in split:
                digest.update("\0".join((*sentence.words, *sentence.tags, "\n")).encode())
        return digest.hexdigest()


def bio_labels(splits: Iterable[Sequence[TaggedSentence]]) -> tuple[str, ...]:
    """O, then B-X and I-X for every type that occurs, by name."""
    types = {
        read_tag(tag).type for split in splits for sentence in split for tag in set(sentence.tags)
    }
    return (
        OUTSIDE,
        *(f"{prefix}-{kind}" for kind in sorted(types - {""}) for prefix in ("B", "I")),
    )
