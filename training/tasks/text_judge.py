"""How a language model is judged: bits per byte of held-out text, beside simpler models' figures.

Bits per byte compares models with different tokenizers, and with anything else that predicts text.
Every token of every held-out document is predicted exactly once, from at most a context of tokens
before it and never from another document. Letters: W windows, S tokens, V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import Evaluation
from training import metrics
from training.byte_models import ByteModel, gzip_bits_per_byte
from training.data.documents import Corpus
from training.data.windows import Tokens
from training.networks.decoder import DecoderConfig
from training.networks.slot_plan import first_prompts
from training.work import Predict

Array = NDArray[Any]

_BATCH_WINDOWS = 16
_ORDER = 3
# With fewer documents than this, windows are resampled for the interval instead.
_ENOUGH_DOCUMENTS = 20


@dataclass(frozen=True)
class HeldOutText:
    """`tokens`: the held-out documents, each after an end-of-text token. `token_bytes` int64 [V]: how
    many bytes of text every token stands for."""

    corpus: Corpus
    tokens: tuple[Tokens, ...]
    token_bytes: Tokens


@dataclass(frozen=True)
class Scores:
    """Per window [W]: its document, and over its predicted tokens the bits they cost, the bytes they
    stand for, how many they are and how many were the likeliest token."""

    document: Tokens
    bits: Array
    size_bytes: Tokens
    tokens: Tokens
    hits: Tokens


def evaluations(
    held_out: HeldOutText, config: DecoderConfig, predict: Predict, seed: int
) -> tuple[Evaluation, ...]:
    """Bits per byte (main; bootstrap interval, gzip and order-3 baselines), then token accuracy."""
    scores = score(held_out, config, predict)
    enough = len(held_out.tokens) >= _ENOUGH_DOCUMENTS
    units = scores.document if enough else np.arange(len(scores.document))
    rows = np.stack([np.bincount(units, of) for of in (scores.bits, scores.size_bytes)], axis=1)
    hits, tokens = int(scores.hits.sum()), int(scores.tokens.sum())
    return (
        Evaluation(
            dataset=held_out.corpus.dataset,
            split=held_out.corpus.split,
            metric="bits-per-byte",
            value=_ratio(rows),
            higher_is_better=False,
            interval=metrics.bootstrap_interval(rows, _ratio, seed),
            samples=int(scores.size_bytes.sum()),
            baselines=baselines(held_out.corpus),
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


def baselines(corpus: Corpus) -> dict[str, float]:
    """Bits per byte of gzip and of the order-3 byte model on the same held-out text."""
    held_out = [document.text.encode() for document in corpus.held_out]
    model = ByteModel((document.text.encode() for document in corpus.train), _ORDER)
    bits = np.concatenate([model.bits(document) for document in held_out])
    return {
        f"order-{_ORDER}-bytes": float(bits.mean()),
        "gzip": gzip_bits_per_byte(b"".join(held_out)),
    }


def score(held_out: HeldOutText, config: DecoderConfig, predict: Predict) -> Scores:
    """Read every document in windows of the context; the windows of one share a single token."""
    windows = [
        (index, tokens[start : start + config.context + 1])
        for index, tokens in enumerate(held_out.tokens)
        for start in range(0, len(tokens) - 1, config.context)
    ]
    windows.sort(key=lambda entry: -len(entry[1]))  # like lengths together: less padding
    parts = [
        _score_batch(windows[start : start + _BATCH_WINDOWS], held_out.token_bytes, config, predict)
        for start in range(0, len(windows), _BATCH_WINDOWS)
    ]
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _score_batch(
    windows: Sequence[tuple[int, Tokens]],
    token_bytes: Tokens,
    config: DecoderConfig,
    predict: Predict,
) -> tuple[Array, ...]:
    """The fields of Scores for a few windows, padded on the right, where nothing looks."""
    lengths = np.array([len(tokens) - 1 for _, tokens in windows])
    ids = np.zeros((len(windows), lengths.max() + 1), np.int64)
    for row, (_, tokens) in zip(ids, windows, strict=True):
        row[: len(tokens)] = tokens
    targets = ids[:, 1:]
    real = np.arange(targets.shape[1]) < lengths[:, np.newaxis]
    logits = predict(first_prompts(ids[:, :-1], config))["logits"]
    logits = logits.reshape(*targets.shape, -1)  # [W, S, V]
    peak = logits.max(axis=-1)
    chosen = np.take_along_axis(logits, targets[..., np.newaxis], axis=-1)[..., 0]
    nats = np.log(np.exp(logits - peak[..., np.newaxis]).sum(axis=-1)) + peak - chosen
    return (
        np.array([document for document, _ in windows]),
        (nats * real).sum(axis=1, dtype=np.float64) / math.log(2),
        (token_bytes[targets] * real).sum(axis=1),
        lengths,
        ((logits.argmax(axis=-1) == targets) & real).sum(axis=1),
    )


def _ratio(rows: Array) -> float:
    """Rows of (bits, bytes) → bits per byte."""
    bits, size_bytes = rows.sum(axis=0)
    return float(bits / size_bytes)
