"""What answers to questions are judged by: figures, the baseline, the sheet, the threshold of `nothing`.

Letters: N questions.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from models.manifest import Evaluation
from models.transforms.words import split_words
from training import answer_metrics, metrics, plots
from training.data.questions import Question, QuestionData
from training.work import Array

_SPLIT = "test"
_SAMPLES = 8  # on the sample sheet
_BASELINE_WORDS = 5  # longest answer of the baseline
_SENTENCE_ENDS = frozenset(".!?")


class AnswerJudge:
    """Judges answers (texts; none is the empty one) to the test questions."""

    def __init__(self, texts: QuestionData, seed: int) -> None:
        self._texts, self._seed = texts, seed

    def evaluations(self, answers: Sequence[str]) -> tuple[Evaluation, ...]:
        """Exact match (main) and F1 with bootstrap intervals; apart, with and without an answer."""
        questions = self._texts.test
        exact, overlap = _scores(questions, answers)
        figures = [
            self._figure("exact-match", exact, self._baseline[0]),
            self._figure("f1", overlap, self._baseline[1]),
        ]
        if self._texts.may_have_no_answer:
            is_there = np.array([bool(question.answers) for question in questions])
            for name, chosen in (("with an answer", is_there), ("without one", ~is_there)):
                if chosen.any():
                    figures.append(self._figure(f"f1 of questions {name}", overlap[chosen], None))
        return tuple(figures)

    def exact_matches(self, answers: Sequence[str]) -> Array:
        """1 or 0 for each test question [N]; their mean is the main metric."""
        return _scores(self._texts.test, answers)[0]

    def draw(self, folder: Path, answers: Sequence[str]) -> None:
        """samples.png: half of it questions that were answered wrongly."""
        exact, _ = _scores(self._texts.test, answers)
        rows: list[int] = []
        for kind in (np.flatnonzero(exact == 0), np.flatnonzero(exact == 1)):
            count = min(len(kind), _SAMPLES // 2)
            rows += [int(kind[place]) for place in np.linspace(0, len(kind) - 1, count).astype(int)]
        sheet = [_shown(self._texts.test[row], answers[row]) for row in rows]
        plots.text_sheet(folder / "samples.png", sheet)

    @cached_property
    def _baseline(self) -> tuple[float, float]:
        exact, overlap = _scores(
            self._texts.test, [overlapping_words(one) for one in self._texts.test]
        )
        return float(exact.mean()), float(overlap.mean())

    def _figure(self, metric: str, values: Array, baseline: float | None) -> Evaluation:
        return Evaluation(
            dataset=self._texts.name,
            split=_SPLIT,
            metric=metric,
            value=float(values.mean()),
            interval=metrics.bootstrap_interval(values, _mean, self._seed),
            samples=len(values),
            baselines={} if baseline is None else {"word-overlap": baseline},
        )


def best_threshold(leads: Array, if_answered: Array, if_nothing: Array) -> float:
    """The lead of `nothing` from which on to answer nothing, so that the mean F1 is highest.

    `leads` [N] are by how much `nothing` is ahead, the others [N] what F1 is then. Halfway between two
    leads; of equal ones the lowest.
    """
    if not len(leads):
        return 0.0
    order = np.argsort(leads, kind="stable")
    ordered = leads[order].astype(np.float64)
    # Entry n: the n lowest leads are answered, the rest is nothing.
    answered = np.concatenate([[0.0], np.cumsum(if_answered[order])])
    nothing = np.concatenate([np.cumsum(if_nothing[order][::-1])[::-1], [0.0]])
    edges = np.concatenate([[ordered[0] - 1], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1]])
    is_edge = np.concatenate(
        [[True], ordered[1:] > ordered[:-1], [True]]
    )  # equal leads stay together
    totals = np.where(is_edge, answered + nothing, -1.0)
    return float(edges[int(totals.argmax())])


def overlapping_words(question: Question) -> str:
    """The baseline: in the sentence that shares most words with the question, the longest run of words
    that the question has not, at most five (after SQuAD's sliding window, Rajpurkar et al. 2016)."""
    asked = {question.question[start:end].lower() for start, end in split_words(question.question)}
    sentences: list[list[tuple[int, int]]] = [[]]
    for start, end in split_words(question.context):
        sentences[-1].append((start, end))
        if question.context[start:end] in _SENTENCE_ENDS:
            sentences.append([])
    best = max(sentences, key=lambda words: len(asked & _lowered(question.context, words)))
    runs: list[list[tuple[int, int]]] = [[]]
    for start, end in best:
        word = question.context[start:end]
        if word.lower() in asked or not word[0].isalnum():
            runs.append([])
        else:
            runs[-1].append((start, end))
    longest = max(runs, key=len)[:_BASELINE_WORDS]
    return question.context[longest[0][0] : longest[-1][1]] if longest else ""


def _lowered(context: str, words: Sequence[tuple[int, int]]) -> set[str]:
    return {context[start:end].lower() for start, end in words}


def _scores(questions: Sequence[Question], answers: Sequence[str]) -> tuple[Array, Array]:
    pairs = list(zip(answers, questions, strict=True))
    return (
        np.array([answer_metrics.exact_match(answer, one.texts) for answer, one in pairs]),
        np.array([answer_metrics.f1(answer, one.texts) for answer, one in pairs]),
    )


def _mean(values: Array) -> float:
    return float(values.mean())


def _shown(question: Question, answer: str) -> str:
    right = " / ".join(dict.fromkeys(question.texts)) or "(no answer)"
    return (
        f"{question.context}\n? {question.question}\n→ {answer or '(no answer)'}   right: {right}"
    )
