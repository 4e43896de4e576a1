"""What finders of entities are judged by: figures, plots and the baseline of token classification.

Letters: N sentences, W words, K tags.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from models.manifest import Evaluation
from models.transforms.scores import softmax
from models.transforms.tags import strict_entities
from training import entity_metrics, metrics, plots
from training.data.tagged_text import TaggedData, TaggedSentence
from training.work import Array

_SPLIT = "test"
_SAMPLES = 14  # on the sample sheet
_MOST_TYPES = 30  # with figures of their own


class EntityJudge:
    """Judges tags of the test sentences. The baseline is computed once: every variant stands beside it."""

    def __init__(self, texts: TaggedData, seed: int) -> None:
        self._texts, self._seed = texts, seed
        self._gold = [sentence.tags for sentence in texts.test]

    def evaluations(self, tags: Sequence[Sequence[str]]) -> tuple[Evaluation, ...]:
        """Entity F1 (main; bootstrap over sentences), precision, recall, and all three by type."""
        types = self._texts.types
        counts = entity_metrics.entity_counts(self._gold, tags, types)
        precision, recall, f1 = entity_metrics.precision_recall_f1(counts)
        figures = [
            self._figure("entity-f1", f1).model_copy(
                update={
                    "interval": metrics.bootstrap_interval(counts, entity_metrics.f1, self._seed),
                    "baselines": {"commonest-tag": self._baseline},
                }
            ),
            self._figure("entity-precision", precision),
            self._figure("entity-recall", recall),
        ]
        for column, kind in enumerate(types[:_MOST_TYPES]):
            values = entity_metrics.precision_recall_f1(counts[:, column])
            for name, value in zip(("precision", "recall", "f1"), values, strict=True):
                figures.append(self._figure(f"{name} of {kind}", value))
        return tuple(figures)

    def calibration(self, logits: Array, targets: Array, temperature: float) -> Evaluation:
        """Of words [n, K], not of entities: how honest the scores are that entities are made of."""
        honest = metrics.expected_calibration_error(softmax(logits, temperature), targets)
        raw = metrics.expected_calibration_error(softmax(logits), targets)
        return Evaluation(
            dataset=self._texts.name,
            split=_SPLIT,
            metric="word calibration-error",
            value=honest,
            higher_is_better=False,
            samples=len(targets),
            baselines={"uncalibrated": raw},
        )

    def draw(self, folder: Path, tags: Sequence[Sequence[str]]) -> None:
        """confusion.png of words' tags and samples.png, half of it sentences with mistakes."""
        labels = self._texts.labels
        index = {label: position for position, label in enumerate(labels)}
        truth, given = (
            np.array([index[tag] for sentence in sentences for tag in sentence])
            for sentences in (self._gold, tags)
        )
        table = metrics.confusion(truth, given, len(labels))
        plots.confusion_matrix(folder / "confusion.png", table, labels)
        plots.text_sheet(folder / "samples.png", list(self._samples(tags)))

    def _samples(self, tags: Sequence[Sequence[str]]) -> list[str]:
        is_wrong = np.array(
            [
                set(strict_entities(one)) != set(strict_entities(other))
                for one, other in zip(self._gold, tags, strict=True)
            ]
        )
        rows = []
        for kind in (np.flatnonzero(is_wrong), np.flatnonzero(~is_wrong)):
            count = min(len(kind), _SAMPLES // 2)
            rows += [int(kind[place]) for place in np.linspace(0, len(kind) - 1, count).astype(int)]
        return [_shown(self._texts.test[row], tags[row]) for row in rows]

    @cached_property
    def _baseline(self) -> float:
        train = self._texts.train
        commonest = entity_metrics.commonest_tags(
            (sentence.words for sentence in train), (sentence.tags for sentence in train)
        )
        tags = [
            entity_metrics.baseline_tags(sentence.words, commonest) for sentence in self._texts.test
        ]
        return entity_metrics.f1(entity_metrics.entity_counts(self._gold, tags, self._texts.types))

    def _figure(self, metric: str, value: float) -> Evaluation:
        return Evaluation(
            dataset=self._texts.name,
            split=_SPLIT,
            metric=metric,
            value=value,
            samples=len(self._gold),
        )


def _shown(sentence: TaggedSentence, given: Sequence[str]) -> str:
    """`[Ada Lovelace PER] lived …` as found, and the entities as they are where that differs."""
    found, there = strict_entities(given), strict_entities(sentence.tags)
    words = list(sentence.words)
    for span in found:
        words[span.start] = f"[{words[span.start]}"
        words[span.end - 1] += f" {span.type}]"
    lines = [" ".join(words)]
    if set(found) != set(there):
        names = (f"{' '.join(sentence.words[s.start : s.end])} {s.type}" for s in there)
        lines.append(f"→ right: {', '.join(names) or 'none'}")
    return "\n".join(lines)
