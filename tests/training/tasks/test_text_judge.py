"""Bits per byte are what they are called: every byte paid for once, at the model's own price."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.data.byte_tokenizer import END_OF_TEXT_ID, token_sizes, train_tokenizer
from training.data.documents import Corpus, Document
from training.networks.decoder import Decoder, DecoderConfig
from training.networks.slot_plan import decoder_predict
from training.tasks.text_judge import HeldOutText, _windows, evaluations, score
from training.work import Arrays

CONFIG = DecoderConfig(context=16, width=32, layers=1, heads=2, kv_heads=1, hidden=16)
TEXTS = ["spam and eggs, eggs and spam, and ham. " * 6, "x", "ham! " * 9, "Grüße, 世界"]


@pytest.fixture(scope="module")
def held_out() -> HeldOutText:
    tokenizer = train_tokenizer(TEXTS, vocabulary=280)
    documents = tuple(Document(f"d{index}", text) for index, text in enumerate(TEXTS))
    corpus = Corpus("test", "by hand", documents, documents)
    tokens = tuple(
        np.array([END_OF_TEXT_ID, *tokenizer.encode(text).ids], np.int64) for text in TEXTS
    )
    return HeldOutText(corpus, tokens, token_sizes(tokenizer))


def uniform(inputs: Mapping[str, np.ndarray]) -> Arrays:
    return {"logits": np.zeros((len(inputs["logit_idx"]), 280), np.float32)}


def test_uniform_model_pays_the_same_for_every_token(held_out: HeldOutText) -> None:
    scores = score(held_out, CONFIG, uniform)
    tokens = sum(len(entry) - 1 for entry in held_out.tokens)
    assert scores.tokens.sum() == tokens
    assert scores.bits.sum() == pytest.approx(tokens * np.log2(280), rel=1e-6)


def test_every_byte_is_paid_for_once(held_out: HeldOutText) -> None:
    scores = score(held_out, CONFIG, uniform)
    sizes = np.bincount(scores.document, scores.size_bytes)
    assert sizes.tolist() == [len(text.encode()) for text in TEXTS]


def test_bits_equal_the_networks_cross_entropy(held_out: HeldOutText) -> None:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG, 280).eval()
    expected = 0.0
    for tokens in held_out.tokens:
        for start in range(0, len(tokens) - 1, CONFIG.context):
            window = torch.from_numpy(tokens[start : start + CONFIG.context + 1])
            logits = decoder(window[None, :-1])[0]
            nats = torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum")
            expected += nats.item() / np.log(2)
    scores = score(held_out, CONFIG, decoder_predict(decoder))
    assert scores.bits.sum() == pytest.approx(expected, rel=1e-5)


def test_characters_are_paid_for_as_well(held_out: HeldOutText) -> None:
    scores = score(held_out, CONFIG, uniform)
    characters = np.bincount(scores.document, scores.characters)
    assert characters.tolist() == [len(text) for text in TEXTS]


@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.9])
def test_windows_that_overlap_judge_every_token_once_with_more_context(
    held_out: HeldOutText, overlap: float
) -> None:
    overlapping = replace(held_out, overlap=overlap)
    scores = score(overlapping, CONFIG, uniform)
    assert scores.tokens.sum() == sum(len(entry) - 1 for entry in held_out.tokens)
    assert np.bincount(scores.document, scores.size_bytes).tolist() == [
        len(text.encode()) for text in TEXTS
    ]
    windows = list(_windows(overlapping, CONFIG.context))
    for window in windows:
        assert len(window.tokens) <= CONFIG.context + 1
    later = [window for window in windows if window.document == 0][1:]
    assert all(window.first > overlap * CONFIG.context - 1 for window in later)


def test_main_figure_has_an_interval_and_both_baselines(held_out: HeldOutText) -> None:
    main, per_character, accuracy = evaluations(held_out, CONFIG, uniform, seed=0)
    assert (main.metric, main.higher_is_better) == ("bits-per-byte", False)
    assert main.interval is not None
    assert main.interval.low <= main.value <= main.interval.high
    assert set(main.baselines) == {"order-3-bytes", "order-5-bytes", "gzip", "bz2", "lzma"}
    assert per_character.samples == sum(len(text) for text in TEXTS)
    assert per_character.value * per_character.samples == pytest.approx(main.value * main.samples)
    assert main.samples == sum(len(text.encode()) for text in TEXTS)
    assert accuracy.metric == "next-token-accuracy"
