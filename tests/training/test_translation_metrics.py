"""BLEU and chrF are sacrebleu's to the last digit, ROUGE reads every script, intervals lie around."""

import numpy as np
import pytest
import sacrebleu

from training import translation_metrics

REFERENCES = [
    "The old man sees the small dog in the garden.",
    "On July 18, a big woman painted the fast children.",
    "Everyone hopes that the doctors find the keys.",
    "Two girls want to buy an apple at the market.",
] * 5
WRITTEN = [
    "The old man sees a small dog in the garden.",
    "On July 18, a big woman painted fast children.",
    "Everyone hopes the doctors find keys.",
    "Two girls want to buy an apple at the market.",
] * 5


def test_figures_are_sacrebleus() -> None:
    assert translation_metrics.bleu(WRITTEN, REFERENCES).value == pytest.approx(
        sacrebleu.corpus_bleu(WRITTEN, [REFERENCES]).score
    )
    assert translation_metrics.chrf(WRITTEN, REFERENCES).value == pytest.approx(
        sacrebleu.corpus_chrf(WRITTEN, [REFERENCES]).score
    )


def test_signatures_say_tokenizer_and_version() -> None:
    signature = translation_metrics.bleu(WRITTEN, REFERENCES).signature
    assert "tok:13a" in signature
    assert f"version:{sacrebleu.__version__}" in signature
    assert "version" in translation_metrics.chrf(WRITTEN, REFERENCES).signature


def test_interval_lies_around_the_figure_and_follows_the_seed() -> None:
    score = translation_metrics.bleu(WRITTEN, REFERENCES, seed=3)
    assert score.interval is not None
    assert score.interval.low < score.value < score.interval.high
    assert translation_metrics.bleu(WRITTEN, REFERENCES, seed=3) == score
    perfect = translation_metrics.bleu(REFERENCES, REFERENCES, seed=3)
    assert perfect.value == pytest.approx(100)
    assert perfect.interval is not None
    assert perfect.interval.low == pytest.approx(100)


def test_counts_of_single_texts_add_up_to_the_whole() -> None:
    rows = np.array(
        [translation_metrics._counts(a, b) for a, b in zip(WRITTEN, REFERENCES, strict=True)]
    )
    whole = sacrebleu.corpus_bleu(WRITTEN, [REFERENCES])
    assert rows.sum(axis=0).tolist() == [
        *whole.counts, *whole.totals, whole.sys_len, whole.ref_len
    ]  # fmt: skip


def test_nothing_written_is_worth_nothing() -> None:
    assert translation_metrics.bleu([""] * 2, REFERENCES[:2]).value == 0
    assert translation_metrics.rouge([""], ["a b"]).tolist() == [[0, 0, 0]]


def test_rouge_counts_words_pairs_of_words_and_the_longest_common_sequence() -> None:
    [[one, two, longest]] = translation_metrics.rouge(["a b d"], ["a b c d"]).tolist()
    assert one == pytest.approx(2 * 1.0 * 0.75 / 1.75)
    assert two == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert longest == pytest.approx(one)


def test_rouge_reads_letters_outside_a_to_z_and_ignores_case() -> None:
    assert translation_metrics.rouge(["ÄPFEL für МОСКВА"], ["Äpfel für Москва"]).min() == 1
    assert translation_metrics.rouge(["Äpfel"], ["Öfen"]).max() == 0
