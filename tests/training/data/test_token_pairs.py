"""Batches of pairs: bounded, complete, of like length, and as many in each epoch."""

import numpy as np
import torch

from training.data.padded_loader import IGNORED
from training.data.seq2seq_tokenizer import encode_pairs, fit_tokenizer, within
from training.data.text_pairs import Pairs
from training.data.token_pairs import TokenBudget, TokenPairs, pair_loader

START = 0


def pairs(count: int = 200) -> TokenPairs:
    random = np.random.default_rng(0)

    def side() -> tuple[np.ndarray, ...]:
        return tuple(
            np.append(random.integers(1, 50, random.integers(1, 30)), 0) for _ in range(count)
        )

    return TokenPairs(side(), side())


def test_every_pair_is_in_one_batch_and_none_is_over_the_budget() -> None:
    tokens = pairs()
    for shuffle in (False, True):
        batches = list(TokenBudget(tokens, 150, shuffle=shuffle))
        assert sorted(row for batch in batches for row in batch) == list(range(200))
        for batch in batches:
            longest = max(max(len(tokens.source[row]), len(tokens.answer[row])) for row in batch)
            assert longest * len(batch) <= 150


def test_a_pair_longer_than_the_budget_goes_alone() -> None:
    assert all(len(batch) == 1 for batch in TokenBudget(pairs(20), 1, shuffle=True))


def test_epochs_differ_but_have_as_many_batches() -> None:
    torch.manual_seed(1)
    sampler = TokenBudget(pairs(), 150, shuffle=True)
    first, second = list(sampler), list(sampler)
    assert len(first) == len(second) == len(sampler)
    assert first != second


def test_answers_begin_with_the_start_and_want_what_follows() -> None:
    tokens = TokenPairs(
        (np.array([5, 6, 0]), np.array([7, 0])), (np.array([8, 0]), np.array([9, 3, 0]))
    )
    [batch] = pair_loader([tokens], 100, START, shuffle=False)
    assert batch.source.tolist() == [[5, 6, 0], [7, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.answer.tolist() == [[START, 8, 0], [START, 9, 3]]
    assert batch.wanted.tolist() == [[8, 0, IGNORED], [9, 3, 0]]


def test_tokenizers_end_every_text_and_lose_nothing() -> None:
    texts = ["Zwei Hunde, 1.204 Äpfel.", "two dogs"]
    tokenizer = fit_tokenizer(texts * 5, 400)
    encoded = encode_pairs(Pairs((texts[0],), (texts[1],)), (tokenizer, tokenizer))
    for row, text in ((encoded.source[0], texts[0]), (encoded.answer[0], texts[1])):
        assert row[-1] == 0
        assert tokenizer.decode(row.tolist()) == text
    digits = tokenizer.encode("1204", add_special_tokens=False).ids
    assert len(digits) == 4


def test_left_out_merges_make_longer_texts_of_the_same_words() -> None:
    texts = tuple(f"the wonderful translation number {n}" for n in range(60))
    tokenizer = fit_tokenizer(texts, 500)
    plain = encode_pairs(Pairs(texts, texts), (tokenizer, tokenizer))
    cut = encode_pairs(Pairs(texts, texts), (tokenizer, tokenizer), dropout=0.4, seed=3)
    assert sum(map(len, cut.source)) > 1.2 * sum(map(len, plain.source))
    assert [tokenizer.decode(row.tolist()) for row in cut.source] == list(texts)


def test_prefix_is_read_and_long_pairs_are_told_apart() -> None:
    tokenizer = fit_tokenizer(["abc def ghi"], 300)
    tokens = encode_pairs(
        Pairs(("abc", "abc def ghi"), ("x", "x")), (tokenizer, tokenizer), "say: "
    )
    assert tokenizer.decode(tokens.source[0].tolist()) == "say: abc"
    short = len(tokens.source[0])
    assert within(tokens, short, 9).tolist() == [True, False]
    assert within(tokens, 99, 1).tolist() == [False, False]
