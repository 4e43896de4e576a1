"""Figures of merit for entities found in sentences, by seqeval's strict rules (Nakayama 2018).

An entity counts as found when type, first and last word are all right; precision, recall and F1 are of
all entities of all sentences together (micro). Used by token classification's `evaluate`; plain numpy,
over tags, so that it judges whatever answers. Letters: N sentences, C types.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.transforms.tags import OUTSIDE, strict_entities

Tags = Sequence[str]


def entity_counts(
    gold: Sequence[Tags], given: Sequence[Tags], types: Sequence[str]
) -> NDArray[np.int64]:
    """int64 [N, C, 3]: for each sentence and type how many were found rightly, given, and there."""
    place = {kind: column for column, kind in enumerate(types)}
    counts = np.zeros((len(gold), len(types), 3), dtype=np.int64)
    for row, (truth, answer) in enumerate(zip(gold, given, strict=True)):
        there, found = set(strict_entities(truth)), set(strict_entities(answer))
        for column, entities in enumerate((there & found, found, there)):
            for kind, number in Counter(span.type for span in entities).items():
                counts[row, place[kind], column] = number
    return counts


def precision_recall_f1(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """Of `counts` [..., 3], all rows together; 0 where there is nothing to divide by, as seqeval says."""
    right, given, there = (int(number) for number in counts.reshape(-1, 3).sum(axis=0))
    precision = right / given if given else 0.0
    recall = right / there if there else 0.0
    total = given + there
    return precision, recall, 2 * right / total if total else 0.0


def f1(counts: NDArray[np.int64]) -> float:
    return precision_recall_f1(counts)[2]


def commonest_tags(words: Iterable[Sequence[str]], tags: Iterable[Tags]) -> dict[str, str]:
    """word → the tag it has most often (the first by name among equals): what the baseline answers."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence, its_tags in zip(words, tags, strict=True):
        for word, tag in zip(sentence, its_tags, strict=True):
            seen[word][tag] += 1
    return {word: min(votes, key=lambda tag: (-votes[tag], tag)) for word, votes in seen.items()}


def baseline_tags(words: Sequence[str], commonest: dict[str, str]) -> list[str]:
    """Unknown words are outside; an I-X that nothing begins begins an entity itself."""
    tags = [commonest.get(word, OUTSIDE) for word in words]
    for position, tag in enumerate(tags):
        before = tags[position - 1] if position else OUTSIDE
        if tag.startswith("I-") and before not in (tag, f"B-{tag[2:]}"):
            tags[position] = f"B-{tag[2:]}"
    return tags
