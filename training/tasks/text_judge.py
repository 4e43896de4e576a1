"""How a language model is judged: bits per byte of held-out text, beside simpler models' figures.

Bits per byte (and per character) compare models with different tokenizers, and with anything else that
predicts text. Every token of every held-out document is predicted exactly once, from at most a context
of tokens before it and never from another document. Letters: W windows, S tokens, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import Evaluation
from training import metrics
from training.byte_models import ByteModel, compressors_bits_per_byte
from training.data.documents import Corpus
from training.data.windows import Tokens
from training.networks.decoder import DecoderConfig
from training.networks.slot_plan import first_prompts
from training.work import Predict

Array = NDArray[Any]

_BATCH_WINDOWS = 16
# Order of a byte model → the most text it is fitted to: a longer context's table is a large one.
_ORDERS = {3: 1 << 40, 5: 4 << 20}
# With fewer documents than this, windows are resampled for the interval instead.
_ENOUGH_DOCUMENTS = 20


@dataclass(frozen=True)
class HeldOutText:
    """`tokens`: the held-out documents, each after an end-of-text token. `token_sizes` int64 [V, 2]: how
    many bytes and characters every token stands for. `overlap`: the part of a window that the next one
    reads again."""

    corpus: Corpus
    tokens: tuple[Tokens, ...]
    token_sizes: Tokens
    overlap: float = 0.0

    @cached_property
    def baselines(self) -> dict[str, float]:
        """Bits per byte of order-n byte models and of compressors on the same text; every variant of the
        model is compared with them."""
        held_out = [document.text.encode() for document in self.corpus.held_out]
        learned = [document.text.encode() for document in self.corpus.train]
        paid = {}
        for order, most_bytes in _ORDERS.items():
            if sum(map(len, learned)) <= most_bytes:
                model = ByteModel(learned, order)
                bits = np.concatenate([model.bits(document) for document in held_out])
                paid[f"order-{order}-bytes"] = float(bits.mean())
        return paid | compressors_bits_per_byte(b"".join(held_out))


@dataclass(frozen=True)
class Scores:
    """Per window [W]: its document, and over its judged tokens the bits they cost, the bytes and
    characters they stand for, how many they are and how many were the likeliest token."""

    document: Tokens
    bits: Array
    size_bytes: Tokens
    characters: Tokens
    tokens: Tokens
    hits: Tokens


def evaluations(
    held_out: HeldOutText, config: DecoderConfig, predict: Predict, seed: int
) -> tuple[Evaluation, ...]:
    """Bits per byte (main) and per character, each with a bootstrap interval and what simpler models
    pay, then token accuracy."""
    scores = score(held_out, config, predict)
    enough = len(held_out.tokens) >= _ENOUGH_DOCUMENTS
    units = scores.document if enough else np.arange(len(scores.document))
    hits, tokens = int(scores.hits.sum()), int(scores.tokens.sum())
    per_byte = held_out.baselines
    bytes_per_character = scores.size_bytes.sum() / scores.characters.sum()

    def bits(metric: str, sizes: Tokens, simpler: dict[str, float]) -> Evaluation:
        rows = np.stack([np.bincount(units, of) for of in (scores.bits, sizes)], axis=1)
        return Evaluation(
            dataset=held_out.corpus.dataset,
            split=held_out.corpus.split,
            metric=metric,
            value=_ratio(rows),
            higher_is_better=False,
            interval=metrics.bootstrap_interval(rows, _ratio, seed),
            samples=int(sizes.sum()),
            baselines=simpler,
        )

    return (
        bits("bits-per-byte", scores.size_bytes, per_byte),
        bits(
            "bits-per-character",
            scores.characters,
            {name: float(paid * bytes_per_character) for name, paid in per_byte.items()},
        ),
        Evaluation(
            dataset=held_out.corpus.dataset,
            split=held_out.corpus.split,
            metric="next-token-accuracy",
            value=hits / tokens,
            interval=metrics.wilson_interval(hits, tokens),
            samples=tokens,
        ),
    )


@dataclass(frozen=True)
class _Window:
    """Consecutive tokens of a document; those from `first` on are judged, the others only read."""

    document: int
    tokens: Tokens
    first: int


def score(held_out: HeldOutText, config: DecoderConfig, predict: Predict) -> Scores:
    """Read every document in windows of the context, each `overlap` of a context into the last one."""
    windows = list(_windows(held_out, config.context))
    windows.sort(key=lambda window: -len(window.tokens))  # like lengths together: less padding
    parts = [
        _score_batch(windows[start : start + _BATCH_WINDOWS], held_out.token_sizes, config, predict)
        for start in range(0, len(windows), _BATCH_WINDOWS)
    ]
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _windows(held_out: HeldOutText, context: int) -> Iterator[_Window]:
    """The first window of a document judges all its tokens but the end of text that opens it."""
    again = min(context - 1, round(context * held_out.overlap))
    for document, tokens in enumerate(held_out.tokens):
        judged = 1
        while judged < len(tokens):
            start = max(0, judged - 1 - again)
            end = min(len(tokens), start + context + 1)
            yield _Window(document, tokens[start:end], judged - start)
            judged = end


def _score_batch(
    windows: Sequence[_Window], token_sizes: Tokens, config: DecoderConfig, predict: Predict
) -> tuple[Array, ...]:
    """The fields of Scores for a few windows, padded on the right, where nothing looks."""
    lengths = np.array([len(window.tokens) - 1 for window in windows])
    firsts = np.array([window.first - 1 for window in windows])
    ids = np.zeros((len(windows), lengths.max() + 1), np.int64)
    for row, window in zip(ids, windows, strict=True):
        row[: len(window.tokens)] = window.tokens
    targets = ids[:, 1:]
    places = np.arange(targets.shape[1])
    judged = (places < lengths[:, np.newaxis]) & (places >= firsts[:, np.newaxis])
    logits = predict(first_prompts(ids[:, :-1], config))["logits"]
    logits = logits.reshape(*targets.shape, -1)  # [W, S, V]
    nats = surprisal(logits, targets)
    sizes = (token_sizes[targets] * judged[..., np.newaxis]).sum(axis=1)
    return (
        np.array([window.document for window in windows]),
        (nats * judged).sum(axis=1, dtype=np.float64) / math.log(2),
        sizes[:, 0],
        sizes[:, 1],
        judged.sum(axis=1),
        ((logits.argmax(axis=-1) == targets) & judged).sum(axis=1),
    )


def surprisal(logits: Array, targets: Tokens) -> Array:
    """Nats that each target costs: logits [..., V], targets [...] → [...]"""
    peak = logits.max(axis=-1)
    chosen = np.take_along_axis(logits, targets[..., np.newaxis], axis=-1)[..., 0]
    return np.asarray(np.log(np.exp(logits - peak[..., np.newaxis]).sum(axis=-1)) + peak - chosen)


def _ratio(rows: Array) -> float:
    """Rows of (bits, size) → bits per unit of size."""
    bits, size = rows.sum(axis=0)
    return float(bits / size)
