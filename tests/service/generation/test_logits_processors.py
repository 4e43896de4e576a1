"""Penalties, biases and forbidden tokens: vLLM's formulas and order, with transformers as referee."""

import copy
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import RepetitionPenaltyLogitsProcessor

from service.errors import BadRequest
from service.generation.logits_processors import LogitsProcessors
from service.generation.request import SamplingParams
from service.generation.sampling import RowSampler, sample

SIZE = 97
tokens = st.lists(st.integers(0, SIZE - 1), max_size=300)
params = st.builds(
    SamplingParams,
    max_tokens=st.just(1000),
    min_tokens=st.sampled_from([0, 5, 1000]),
    temperature=st.sampled_from([0.0, 0.9]),
    repetition_penalty=st.sampled_from([1.0, 1.3, 0.5]),
    presence_penalty=st.sampled_from([0.0, 0.7, -2.0]),
    frequency_penalty=st.sampled_from([0.0, 0.4, -0.3]),
    logit_bias=st.dictionaries(st.integers(0, SIZE - 1), st.floats(-100, 100), max_size=4).map(
        lambda bias: tuple(bias.items())
    ),
)


def plain(
    logits: np.ndarray, rule: SamplingParams, prompt: list[int], answer: list[int], stop: set[int]
) -> np.ndarray:
    """The definition, token by token."""
    changed = logits.astype(np.float64)
    if len(answer) < rule.min_tokens:
        for token in stop:
            changed[token] = -np.inf
    for token, bias in rule.logit_bias:
        changed[token] += bias
    for token in {*prompt, *answer}:
        factor = rule.repetition_penalty
        changed[token] = changed[token] / factor if changed[token] > 0 else changed[token] * factor
    for token, count in Counter(answer).items():
        changed[token] -= rule.frequency_penalty * count + rule.presence_penalty
    return changed


@given(st.integers(0, 2**32), params, tokens, tokens, st.sets(st.integers(0, SIZE - 1), max_size=3))
def test_logits_change_as_defined(
    seed: int, rule: SamplingParams, prompt: list[int], answer: list[int], stop: set[int]
) -> None:
    logits = np.random.default_rng(seed).normal(scale=4, size=SIZE).astype(np.float32)
    kept = logits.copy()
    processors = LogitsProcessors(rule, prompt, stop, None)
    for token in answer:
        processors.accept(token)
    found = processors.apply(logits, len(answer))
    expected = plain(logits, rule, prompt, answer, stop)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(logits, kept)


@pytest.mark.parametrize("penalty", [1.2, 0.8])
def test_repetition_penalty_is_that_of_transformers(penalty: float) -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(scale=3, size=SIZE).astype(np.float32)
    written = rng.integers(0, SIZE, 60).tolist()
    referee = RepetitionPenaltyLogitsProcessor(penalty)
    expected = referee(torch.tensor([written]), torch.from_numpy(logits)[None].clone())[0]
    rule = SamplingParams(repetition_penalty=penalty)
    processors = LogitsProcessors(rule, written[:25], (), None)
    for token in written[25:]:
        processors.accept(token)
    np.testing.assert_allclose(processors.apply(logits, 35), expected.numpy(), rtol=1e-6)


def test_request_that_asks_for_nothing_copies_nothing() -> None:
    logits = np.zeros(5, np.float32)
    assert LogitsProcessors(SamplingParams(), [1, 2], [3], None).apply(logits, 0) is logits


def test_stop_token_cannot_come_before_min_tokens() -> None:
    logits = np.array([0, 1, 9, 2], np.float32)
    rule = SamplingParams(temperature=0.0, min_tokens=3)
    sampler = RowSampler(rule, 0, stop=[2])
    assert [sampler.choose(logits, position).token for position in range(5)] == [3, 3, 3, 2, 2]


def test_token_that_the_model_rules_out_stays_out_whatever_its_bias() -> None:
    logits = np.array([0, -np.inf, 1], np.float32)
    rule = SamplingParams(temperature=0.0, logit_bias=((1, 100.0),), repetition_penalty=0.1)
    assert RowSampler(rule, 0, prompt=[1]).choose(logits, 0).token == 2


@given(st.integers(0, 2**32), st.lists(params, min_size=2, max_size=6), tokens)
def test_row_among_others_gets_the_token_that_it_gets_alone(
    seed: int, rules: list[SamplingParams], answer: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(len(rules), SIZE)).astype(np.float32)
    rows = []
    for index, rule in enumerate(rules):
        sampler = RowSampler(rule, index, answer[index::2], [1])
        for token in answer:
            sampler.accept(token)
        rows.append((sampler, len(answer)))
    together = sample(logits, rows)
    assert together == [
        sample(logits[i : i + 1].copy(), [copy.deepcopy(rows[i])])[0] for i in range(len(rows))
    ]
    assert together == sample(np.ascontiguousarray(logits[::-1]), rows[::-1])[::-1]


class Allows:
    """A matcher that allows the same tokens for ever."""

    def __init__(self, *tokens: int, may_end: bool = False) -> None:
        self._tokens, self._may_end = tokens, may_end

    @property
    def may_end(self) -> bool:
        return self._may_end

    @property
    def is_complete(self) -> bool:
        return self._may_end and not self._tokens

    def allowed(self) -> np.ndarray:
        mask = np.zeros(4, np.bool_)
        mask[list(self._tokens)] = True
        return mask

    def accept(self, token: int) -> None:
        assert token in self._tokens


@pytest.mark.parametrize(
    ("matcher", "min_tokens", "expected"),
    [
        (Allows(0, 1), 0, 1),
        (Allows(0, 1, may_end=True), 0, 2),
        (Allows(0, 1, may_end=True), 1, 1),
        (Allows(may_end=True), 1, 2),  # nothing else is left
        (Allows(0, 2), 0, 0),  # the stop token is text to the constraint, but would end the answer
    ],
)
def test_stop_token_comes_only_where_the_answer_may_end(
    matcher: Allows, min_tokens: int, expected: int
) -> None:
    logits = np.array([0, 1, 9, 20], np.float32)
    rule = SamplingParams(temperature=0.0, min_tokens=min_tokens)
    assert RowSampler(rule, 0, stop=[2], matcher=matcher).choose(logits, 0).token == expected


def test_constraint_that_leaves_no_token_is_told_and_fails_its_row_alone() -> None:
    logits = np.zeros((2, 4), np.float32)
    stuck = RowSampler(SamplingParams(temperature=0.0), 0, stop=[2], matcher=Allows(2))
    bad, good = sample(logits, [(stuck, 0), (RowSampler(SamplingParams(temperature=0.0), 0), 0)])
    assert isinstance(bad, BadRequest)
    assert not isinstance(good, BadRequest)


def test_matcher_and_counts_follow_the_tokens_that_are_accepted() -> None:
    matcher = Allows(0, 1)
    rule = SamplingParams(temperature=0.0, presence_penalty=2.0)
    sampler = RowSampler(rule, 0, matcher=matcher)
    logits = np.array([0, 1, 5, 5], np.float32)
    assert sampler.choose(logits, 0).token == 1
    sampler.accept(1)
    assert sampler.choose(logits, 1).token == 0
