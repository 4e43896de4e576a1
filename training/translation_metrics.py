"""How close written texts come to reference texts: BLEU, chrF and ROUGE, with their intervals.

BLEU and chrF are sacrebleu's (Post 2018), whose signature says every choice they were computed with;
ROUGE is rouge_score's F-measure (Lin 2004), over words of any script instead of a–z alone. BLEU and
chrF are of the whole set of texts, 0 to 100; ROUGE is the mean over texts, 0 to 1. Letters: N texts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from models.manifest import ConfidenceInterval
from training.metrics import bootstrap_interval

Array = NDArray[Any]
Texts = Sequence[str]
ROUGE_KINDS = ("rouge1", "rouge2", "rougeL")
_NGRAMS = 4


@dataclass(frozen=True)
class Score:
    """`signature`: what was computed, complete enough to compute it again."""

    value: float
    signature: str
    interval: ConfidenceInterval | None = None


def bleu(written: Texts, references: Texts, seed: int | None = None) -> Score:
    """Corpus BLEU; with a `seed`, the interval over resampled texts."""
    metric = BLEU()
    value = float(metric.corpus_score(list(written), [list(references)]).score)
    signature = str(metric.get_signature())
    if seed is None:
        return Score(value, signature)
    rows = np.array([_counts(text, other) for text, other in zip(written, references, strict=True)])
    return Score(value, signature, bootstrap_interval(rows, _bleu_of_counts, seed))


def chrf(written: Texts, references: Texts) -> Score:
    """Corpus chrF2."""
    metric = CHRF()
    value = float(metric.corpus_score(list(written), [list(references)]).score)
    return Score(value, str(metric.get_signature()))


def rouge(written: Texts, references: Texts) -> Array:
    """F-measures float [N, 3] of ROUGE_KINDS."""
    from rouge_score.rouge_scorer import RougeScorer  # brings nltk, which takes its time

    scorer = RougeScorer(list(ROUGE_KINDS), tokenizer=_Words())
    scores = [scorer.score(other, text) for text, other in zip(written, references, strict=True)]
    return np.array([[score[kind].fmeasure for kind in ROUGE_KINDS] for score in scores])


class _Words:
    """rouge_score's own tokenizer throws every letter outside a–z away."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.casefold())


# `effective_order` silences advice on single sentences; it does not touch the counts.
_SENTENCE = BLEU(effective_order=True)


def _counts(text: str, reference: str) -> list[int]:
    """What BLEU is made of: matches and n-grams of each order, lengths of text and reference."""
    score: Any = _SENTENCE.sentence_score(text, [reference])
    return [*score.counts, *score.totals, score.sys_len, score.ref_len]


def _bleu_of_counts(rows: Array) -> float:
    sums = rows.sum(axis=0).tolist()
    score = BLEU.compute_bleu(
        correct=sums[:_NGRAMS],
        total=sums[_NGRAMS : 2 * _NGRAMS],
        sys_len=sums[-2],
        ref_len=sums[-1],
        smooth_method="exp",
    )
    return float(score.score)
