"""How what an encoder–decoder writes is judged, beside what simpler methods would have written.

Translation: BLEU and chrF; summarisation: ROUGE. Both by beam search, which is the main figure where
there is more than one beam, and by greedy search. Baselines: the source itself; the answer of the
training pair whose source is nearest by TF-IDF; for summaries the source's first sentence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from tokenizers import Tokenizer

from models.manifest import Evaluation
from training import translation_metrics
from training.data.text_pairs import Pairs
from training.data.token_pairs import Tokens
from training.decoding import Writing, write
from training.metrics import bootstrap_interval
from training.networks.seq2seq import SlotSizes
from training.translation_metrics import ROUGE_KINDS, Texts
from training.work import CardTable, Predict

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_ROUGE_NAMES = {"rouge1": "rouge-1", "rouge2": "rouge-2", "rougeL": "rouge-l"}


@dataclass(frozen=True)
class Judge:
    """`sources` are the test texts as tokens; `test` and `train` the texts themselves."""

    kind: Literal["translation", "summarization"]
    dataset: str
    split: str
    train: Pairs
    test: Pairs
    sources: tuple[Tokens, ...]
    tokenizer: Tokenizer  # of the answer
    sizes: SlotSizes
    writing: Writing
    seed: int

    def written(self, predict: Predict, num_beams: int) -> list[str]:
        """The answer to every test source, as text."""
        writing = replace(self.writing, num_beams=num_beams)
        answers = write(self.sources, predict, self.sizes, writing)
        return [self.tokenizer.decode(list(answer)).strip() for answer in answers]

    def evaluations(self, predict: Predict) -> tuple[Evaluation, ...]:
        """The main figure first, with interval and baselines."""
        beams = self.writing.num_beams
        found = [*self._figures(self.written(predict, beams), beams, is_main=True)]
        if beams > 1:
            found += self._figures(self.written(predict, 1), 1, is_main=False)
        return tuple(found)

    def _figures(self, texts: Texts, beams: int, *, is_main: bool) -> list[Evaluation]:
        """One search's; the names of figures beside the main search end in its name."""
        if self.kind == "summarization":
            return self._rouge(texts, beams, is_main=is_main)
        ending = "" if is_main else "-greedy"
        bleu = translation_metrics.bleu(texts, self.test.second, self.seed)
        chrf = translation_metrics.chrf(texts, self.test.second)
        return [
            self._figure(
                f"bleu{ending}",
                beams,
                value=bleu.value,
                interval=bleu.interval,
                baselines=self._baselines["bleu"] if is_main else {},
            ),
            self._figure(f"chrf{ending}", beams, value=chrf.value),
        ]

    def _rouge(self, texts: Texts, beams: int, *, is_main: bool) -> list[Evaluation]:
        scores = translation_metrics.rouge(texts, self.test.second)
        figures = []
        for column, kind in reversed(list(enumerate(ROUGE_KINDS))):  # the longest match decides
            name = _ROUGE_NAMES[kind] + ("" if is_main else "-greedy")
            values = scores[:, column]
            interval = bootstrap_interval(values, lambda rows: float(rows.mean()), self.seed)
            figures.append(
                self._figure(
                    name,
                    beams,
                    value=float(values.mean()),
                    interval=interval,
                    baselines=self._baselines[kind] if is_main else {},
                )
            )
        return figures

    def _figure(self, metric: str, beams: int, **fields: object) -> Evaluation:
        search = f"beam search, {beams} beams" if beams > 1 else "greedy search"
        return Evaluation.model_validate(
            {
                "dataset": self.dataset,
                "split": f"{self.split}, {search}",
                "metric": metric,
                "samples": len(self.test),
                **fields,
            }
        )

    @cached_property
    def _baselines(self) -> dict[str, dict[str, float]]:
        """Figure → simpler method → what it reaches."""
        texts = {"copy-source": list(self.test.first), "nearest-source": self._nearest()}
        if self.kind == "translation":
            scores = {
                name: translation_metrics.bleu(answers, self.test.second).value
                for name, answers in texts.items()
            }
            return {"bleu": scores}
        texts["first-sentence"] = [_SENTENCE_END.split(text)[0] for text in self.test.first]
        means = {
            name: translation_metrics.rouge(answers, self.test.second).mean(axis=0)
            for name, answers in texts.items()
        }
        return {
            kind: {name: float(values[column]) for name, values in means.items()}
            for column, kind in enumerate(ROUGE_KINDS)
        }

    def _nearest(self) -> list[str]:
        """For each test source the training answer whose source shares its rarest words."""
        words = r"(?u)\w+"
        vectorizer = TfidfVectorizer(token_pattern=words, sublinear_tf=True)
        known = vectorizer.fit_transform(self.train.first)
        asked = vectorizer.transform(self.test.first)
        nearest: list[str] = []
        for start in range(0, asked.shape[0], 256):
            rows = np.asarray((asked[start : start + 256] @ known.T).argmax(axis=1)).ravel()
            nearest += [self.train.second[row] for row in rows]
        return nearest

    def signatures(self) -> CardTable:
        """How the figures were computed, complete enough to compute them again."""
        writing = self.writing
        search = f"{writing.num_beams} beams, length penalty {writing.length_penalty:g}"
        if self.kind == "translation":
            bleu = translation_metrics.bleu(self.test.second, self.test.second)
            chrf = translation_metrics.chrf(self.test.second, self.test.second)
            rows = [("sacrebleu BLEU", bleu.signature), ("sacrebleu chrF", chrf.signature)]
        else:
            rows = [("rouge_score", "F-measure, words of any script, case folded, no stemming")]
        return CardTable(
            title="How it was judged",
            head=("what", "how"),
            rows=(
                *rows,
                ("main search", search),
                ("longest answer", f"{writing.max_tokens} tokens"),
            ),
        )


def sheet(pairs: Pairs, written: Sequence[str]) -> list[str]:
    """For a picture, one text for each pair: source, reference and what was written."""
    return [
        f"source     {source}\nreference  {reference}\nwritten    {text}"
        for source, reference, text in zip(pairs.first, pairs.second, written, strict=True)
    ]
