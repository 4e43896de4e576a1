"""How comparers of texts are judged: Spearman on scored pairs, reciprocal ranks on matching ones.

Each figure with its interval and, where wanted, what TF-IDF's cosine gives. Letters: N rows, M candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.manifest import Evaluation
from models.transforms.vectors import normalised
from training import metrics, plots
from training.data.text_pairs import Pairs
from training.pair_metrics import (
    mean_interval,
    reciprocal_ranks,
    spearman,
    spearman_interval,
    tfidf_vectors,
)
from training.work import Array

MOST_RANKED = 1000  # rows, so that judging takes no longer than training
_SAMPLES = 14  # on the sample sheet


@dataclass(frozen=True)
class Ranking:
    """For each of N rows its text, and which of all M candidates it is to find. `candidates` int
    [N, m]: those that are ranked for each row, its own first; None: all of them."""

    queries: tuple[str, ...]
    texts: tuple[str, ...]
    wanted: Array
    is_right: Array
    candidates: Array | None = None


def ranking_of(pairs: Pairs, seed: int, most_candidates: int | None = None) -> Ranking:
    """Rows to rank, at most MOST_RANKED; candidates are the texts of all rows, right and wrong ones."""
    dice = np.random.default_rng(seed)
    texts = tuple(dict.fromkeys((*pairs.second, *pairs.negatives)))
    number = {text: index for index, text in enumerate(texts)}
    rows = np.sort(dice.permutation(len(pairs))[:MOST_RANKED])
    right: dict[str, set[int]] = {}
    for first, second in zip(pairs.first, pairs.second, strict=True):
        right.setdefault(first, set()).add(number[second])
    queries = tuple(pairs.first[row] for row in rows)
    wanted = np.array([number[pairs.second[row]] for row in rows])
    is_right = np.zeros((len(rows), len(texts)), dtype=bool)
    for place, query in enumerate(queries):
        is_right[place, list(right[query])] = True
    if most_candidates is None:
        return Ranking(queries, texts, wanted, is_right)
    chosen = []
    for place, row in enumerate(rows):
        own = [int(wanted[place])]
        if pairs.negatives:
            own.append(number[pairs.negatives[row]])
        others = dice.permutation(np.flatnonzero(~is_right[place]))
        more = [int(other) for other in others if other not in own]
        chosen.append([*own, *more][:most_candidates])
    size = min(map(len, chosen))
    candidates = np.array([row[:size] for row in chosen])
    return Ranking(queries, texts, wanted, is_right, candidates)


def ranks(ranking: Ranking, similarity: Array) -> Array:
    """1 / rank [N]; `similarity` [N, M], or [N, m] where each row has candidates of its own."""
    if ranking.candidates is None:
        return reciprocal_ranks(similarity, ranking.wanted, ranking.is_right)
    return reciprocal_ranks(similarity, np.zeros(len(similarity), dtype=np.int64))


def ranking_figures(
    dataset: str, found: Array, seed: int, baselines: Mapping[str, float]
) -> tuple[Evaluation, Evaluation]:
    """Of reciprocal ranks [N]: their mean, and how often the wanted text comes first."""
    first = int((found == 1).sum())
    return (
        Evaluation(
            dataset=dataset,
            split="test",
            metric="mrr",
            value=float(found.mean()),
            interval=mean_interval(found, seed),
            samples=len(found),
            baselines=dict(baselines),
        ),
        Evaluation(
            dataset=dataset,
            split="test",
            metric="recall@1",
            value=first / len(found),
            interval=metrics.wilson_interval(first, len(found)),
            samples=len(found),
        ),
    )


def spearman_figure(
    dataset: str, predicted: Array, scores: Array, seed: int, baselines: Mapping[str, float]
) -> Evaluation:
    return Evaluation(
        dataset=dataset,
        split="test",
        metric="spearman",
        value=spearman(predicted, scores),
        interval=spearman_interval(predicted, scores, seed),
        samples=len(scores),
        baselines=dict(baselines),
    )


class TfIdf:
    """The baseline: cosines of words' beginnings, ends and middles, weighted by how rare they are."""

    def __init__(self, training_texts: Sequence[str]) -> None:
        self._training_texts = training_texts

    def spearman(self, pairs: Pairs) -> float:
        vectors = tfidf_vectors(self._training_texts, (*pairs.first, *pairs.second))
        first, second = vectors[: len(pairs)], vectors[len(pairs) :]
        cosines = np.asarray(first.multiply(second).sum(axis=1)).ravel()
        return spearman(cosines, pairs.scores)

    def mrr(self, ranking: Ranking) -> float:
        vectors = tfidf_vectors(self._training_texts, (*ranking.queries, *ranking.texts))
        count = len(ranking.queries)
        similarity = (vectors[:count] @ vectors[count:].T).toarray()
        if ranking.candidates is not None:
            similarity = np.take_along_axis(similarity, ranking.candidates, axis=1)
        return float(ranks(ranking, similarity).mean())


def cosine_matrix(first: Array, second: Array) -> Array:
    """float32 [N, M] of [N, D] and [M, D]."""
    result: Array = normalised(first) @ normalised(second).T
    return result


def draw_ranking(folder: Path, ranking: Ranking, similarity: Array) -> None:
    """samples.png: what was found for some texts, the worst first."""
    found = ranks(ranking, similarity)
    order = np.argsort(found, kind="stable")
    worst = order[: _SAMPLES // 2]
    rest = order[len(worst) :]
    spread = rest[np.linspace(0, len(rest) - 1, min(_SAMPLES // 2, len(rest))).astype(int)]
    sheet = []
    for row in (*worst, *spread):
        best = int(similarity[row].argmax())
        if ranking.candidates is not None:
            best = int(ranking.candidates[row, best])
        lines = [ranking.queries[row], f"→ {ranking.texts[best]}"]
        if found[row] < 1:
            wanted = ranking.texts[ranking.wanted[row]]
            lines.append(f"  wanted, and found in place {round(1 / found[row])}: {wanted}")
        sheet.append("\n".join(lines))
    plots.text_sheet(folder / "samples.png", sheet)


def draw_scores(folder: Path, pairs: Pairs, predicted: Array) -> None:
    """samples.png: pairs with their scores, those first that are ordered worst."""
    places = [np.argsort(np.argsort(values, kind="stable")) for values in (predicted, pairs.scores)]
    order = np.argsort(-np.abs(places[0] - places[1]), kind="stable")
    rest = order[_SAMPLES // 2 :]
    spread = rest[np.linspace(0, len(rest) - 1, min(_SAMPLES // 2, len(rest))).astype(int)]
    plots.text_sheet(
        folder / "samples.png",
        [
            f"{pairs.first[row]}\n{pairs.second[row]}\n→ {predicted[row]:.3f}, "
            f"scored {pairs.scores[row]:g}"
            for row in (*order[: _SAMPLES // 2], *spread)
        ],
    )
