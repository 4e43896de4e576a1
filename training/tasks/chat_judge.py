"""How a chat model is judged: bits per byte of held-out answers, and how many are right to the letter.

Greedy decoding writes an answer token by token exactly when each of its tokens is the likeliest after the
ones before. So one reading of the finished conversation tells whether the model would have written it, its
end included: what is counted is what the greedy answer would be, without generating it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from models.manifest import Evaluation
from training import metrics
from training.byte_models import ByteModel
from training.data.conversations import Conversation, Encoded
from training.data.windows import Tokens
from training.networks.decoder import DecoderConfig
from training.networks.slot_plan import first_prompts
from training.tasks.text_judge import surprisal
from training.work import CardTable, Predict

Array = NDArray[Any]

_BATCH = 32
_ORDER = 5


@dataclass(frozen=True)
class HeldOutChat:
    """`learned` are the training conversations, for baselines. `token_sizes` as in `token_sizes`."""

    dataset: str
    split: str
    learned: Sequence[Conversation]
    conversations: Sequence[Conversation]
    encoded: Sequence[Encoded]
    token_sizes: Tokens


@dataclass(frozen=True)
class ChatScores:
    """Per conversation: bits and bytes of all its answers, and whether its last one was right."""

    bits: Array
    size_bytes: Array
    is_right: NDArray[np.bool_]


def score(chat: HeldOutChat, config: DecoderConfig, predict: Predict) -> ChatScores:
    order = np.argsort([-len(entry.ids) for entry in chat.encoded], kind="stable")
    bits, size_bytes = np.zeros(len(order)), np.zeros(len(order))
    is_right = np.zeros(len(order), bool)
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        batch = [chat.encoded[row] for row in rows]
        lengths = [len(entry.ids) for entry in batch]
        ids = np.zeros((len(batch), max(lengths)), np.int64)
        counts = np.zeros(ids.shape, bool)
        for place, entry in enumerate(batch):
            ids[place, : lengths[place]] = entry.ids
            counts[place, : lengths[place]] = entry.is_answer
        targets, counts = ids[:, 1:], counts[:, 1:]
        logits = predict(first_prompts(ids[:, :-1], config))["logits"]
        logits = logits.reshape(*targets.shape, -1)
        nats = surprisal(logits, targets)
        bits[rows] = (nats * counts).sum(axis=1, dtype=np.float64) / math.log(2)
        size_bytes[rows] = (chat.token_sizes[targets][..., 0] * counts).sum(axis=1)
        is_hit = logits.argmax(axis=-1) == targets
        is_right[rows] = (is_hit | ~_last_answer(counts)).all(axis=1)
    return ChatScores(bits, size_bytes, is_right)


def _last_answer(counts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each row [T], the last run of true places."""
    ends = counts.shape[1] - np.argmax(counts[:, ::-1], axis=1)  # beyond the last true place
    places = np.arange(counts.shape[1])
    gaps = np.where(~counts & (places < ends[:, np.newaxis]), places, -1).max(axis=1)
    is_last = (places > gaps[:, np.newaxis]) & (places < ends[:, np.newaxis])
    return np.asarray(is_last)


def evaluations(
    chat: HeldOutChat, config: DecoderConfig, predict: Predict, seed: int, *, exact_first: bool
) -> tuple[Evaluation, ...]:
    """Exact matches of last answers, and bits per byte of all; `exact_first`: which is the main one."""
    scores = score(chat, config, predict)
    right, total = int(scores.is_right.sum()), len(scores.is_right)
    rows = np.stack((scores.bits, scores.size_bytes), axis=1)
    exact = Evaluation(
        dataset=chat.dataset,
        split=chat.split,
        metric="exact-match",
        value=right / total,
        interval=metrics.wilson_interval(right, total),
        samples=total,
        baselines={"nearest-question": nearest_question(chat)},
    )
    bits = Evaluation(
        dataset=chat.dataset,
        split=chat.split,
        metric="answer-bits-per-byte",
        value=_ratio(rows),
        higher_is_better=False,
        interval=metrics.bootstrap_interval(rows, _ratio, seed),
        samples=int(scores.size_bytes.sum()),
        baselines={f"order-{_ORDER}-bytes": _byte_model(chat)},
    )
    return (exact, bits) if exact_first else (bits, exact)


def nearest_question(chat: HeldOutChat) -> float:
    """Exact matches of the answer to the most similar question that was learned (TF-IDF of words)."""
    vectors = TfidfVectorizer(analyzer=_words_and_pairs)
    learned = vectors.fit_transform([entry.question for entry in chat.learned])
    asked = vectors.transform([entry.question for entry in chat.conversations])
    nearest = np.asarray((asked @ learned.T).argmax(axis=1)).ravel()
    same = [
        chat.learned[int(row)].answer == entry.answer
        for row, entry in zip(nearest, chat.conversations, strict=True)
    ]
    return float(np.mean(same))


def _words_and_pairs(text: str) -> list[str]:
    words = text.split()
    return [*words, *map(" ".join, pairwise(words))]


def topics(chat: HeldOutChat, config: DecoderConfig, predict: Predict) -> tuple[CardTable, ...]:
    """Exact matches by topic, where the data name topics."""
    names = sorted({entry.topic for entry in chat.conversations})
    if names == [""]:
        return ()
    is_right = score(chat, config, predict).is_right
    of = np.array([entry.topic for entry in chat.conversations])
    rows = tuple(
        (name, f"{is_right[of == name].mean():.4f}", str(int((of == name).sum()))) for name in names
    )
    return (CardTable("Exact matches by topic", ("topic", "exact-match", "questions"), rows),)


def _byte_model(chat: HeldOutChat) -> float:
    """Bits per byte of an order-n model fitted to the learned answers."""
    model = ByteModel((entry.answer.encode() for entry in chat.learned), _ORDER)
    bits = [model.bits(entry.answer.encode()) for entry in chat.conversations if entry.answer]
    return float(np.concatenate(bits).mean())


def _ratio(rows: Array) -> float:
    """Rows of (bits, bytes) → bits per byte."""
    bits, size_bytes = rows.sum(axis=0)
    return float(bits / size_bytes)
