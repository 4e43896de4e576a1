"""Sampling: right distributions, reproducible, blind to the neighbours."""

import math

import numpy as np
import pytest

from models.errors import InferenceFailed
from service.generation.ranking import token_logprobs
from service.generation.request import SamplingParams
from service.generation.sampling import Choice, RowSampler, sample


def logits_of(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities, np.float32))


def draw(logits: np.ndarray, count: int, **params: float) -> np.ndarray:
    """How often each token is drawn by `count` different seeds."""
    sampling = SamplingParams(**params)  # type: ignore[arg-type]
    hits = np.zeros(len(logits))
    for seed in range(count):
        [choice] = sample(logits[np.newaxis], [(RowSampler(sampling, seed), 0)])
        assert isinstance(choice, Choice)
        hits[choice.token] += 1
    return hits / count


def test_temperature_zero_takes_the_best() -> None:
    assert draw(logits_of(0.2, 0.5, 0.3), 20, temperature=0.0).tolist() == [0, 1, 0]


def test_top_k_of_one_takes_the_best() -> None:
    assert draw(logits_of(0.2, 0.5, 0.3), 20, top_k=1).tolist() == [0, 1, 0]


def test_plain_sampling_follows_the_model() -> None:
    wanted = np.array([0.1, 0.2, 0.3, 0.4])
    assert np.abs(draw(logits_of(*wanted), 4000) - wanted).max() < 0.03


def test_temperature_sharpens_the_distribution() -> None:
    wanted = np.array([0.1, 0.2, 0.3, 0.4]) ** 2
    drawn = draw(logits_of(0.1, 0.2, 0.3, 0.4), 4000, temperature=0.5)
    assert np.abs(drawn - wanted / wanted.sum()).max() < 0.03


def test_top_k_keeps_the_k_best_and_renormalises() -> None:
    drawn = draw(logits_of(0.1, 0.2, 0.3, 0.4), 4000, top_k=2)
    assert np.abs(drawn - np.array([0, 0, 3 / 7, 4 / 7])).max() < 0.03


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    drawn = draw(logits_of(0.1, 0.2, 0.3, 0.4), 4000, top_p=0.65)
    assert np.abs(drawn - np.array([0, 0, 3 / 7, 4 / 7])).max() < 0.03


def test_top_p_applies_to_what_top_k_left() -> None:
    # Of the two best, 4/7 = 0.571 reaches 0.55 alone; of all four it would not.
    assert draw(logits_of(0.1, 0.2, 0.3, 0.4), 50, top_k=2, top_p=0.55).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("top_k", [0, 3, 100, 500])
def test_truncation_is_exact_on_vocabularies_larger_than_the_prefilter(
    top_k: int, top_p: float
) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=800).astype(np.float32)  # flat: 0.9 of the mass needs hundreds
    weights = np.exp(logits.astype(np.float64) - float(logits.max()))
    order = np.argsort(-weights, kind="stable")[: top_k or None]
    shares = np.cumsum(weights[order]) / weights[order].sum()
    kept = set(order[: int((shares < top_p - 1e-12).sum()) + 1].tolist())
    drawn = set()
    for seed in range(3000):
        sampler = RowSampler(SamplingParams(top_k=top_k, top_p=top_p), seed)
        drawn.add(sampler.choose(logits, 0).token)
    assert drawn <= kept
    assert len(drawn) > 0.5 * min(len(kept), 400)


def test_equal_logits_are_cut_in_the_order_of_their_ids() -> None:
    drawn = draw(np.zeros(200, np.float32), 100, top_k=3)
    assert np.flatnonzero(drawn).tolist() == [0, 1, 2]


def test_row_gives_the_same_token_alone_and_among_any_neighbours() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=3, size=(16, 997)).astype(np.float32)
    rows = [
        (
            RowSampler(
                SamplingParams(
                    temperature=float(rng.uniform(0, 2)),
                    top_k=int(rng.integers(0, 50)),
                    top_p=float(rng.uniform(0.2, 1)),
                    logprobs=3,
                ),
                seed=int(rng.integers(2**62)),
            ),
            int(rng.integers(100)),
        )
        for _ in range(16)
    ]
    together = sample(logits, rows)
    alone = [sample(logits[i : i + 1], rows[i : i + 1])[0] for i in range(16)]
    reverse = sample(np.ascontiguousarray(logits[::-1]), rows[::-1])[::-1]
    assert together == alone == reverse


def test_same_seed_repeats_and_positions_differ() -> None:
    logits = np.zeros(1000, np.float32)
    tokens = [RowSampler(SamplingParams(), seed=9).choose(logits, p).token for p in range(40)]
    again = [RowSampler(SamplingParams(), seed=9).choose(logits, p).token for p in range(40)]
    other = [RowSampler(SamplingParams(), seed=10).choose(logits, p).token for p in range(40)]
    assert tokens == again != other
    assert len(set(tokens)) > 35


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_row_that_is_not_finite_gives_no_choice_and_spares_the_others(bad: float) -> None:
    logits = np.zeros((3, 5), np.float32)
    logits[1, 2] = bad
    logits[2, 3] = -np.inf  # a token that cannot be chosen is not an error
    choices = sample(logits, [(RowSampler(SamplingParams(temperature=0.0), 0), 0)] * 3)
    assert choices[::2] == [Choice(0), Choice(0)]
    assert isinstance(choices[1], InferenceFailed)


def test_penalty_that_leaves_float32_fails_the_row_alone() -> None:
    logits = np.full((2, 5), -3e38, np.float32)
    plain, penalised = (SamplingParams(temperature=0.0, repetition_penalty=p) for p in (1, 100))
    rows = [(RowSampler(plain, 0), 0), (RowSampler(penalised, 0, prompt=range(5)), 0)]
    good, bad = sample(logits, rows)
    assert good == Choice(0)
    assert isinstance(bad, InferenceFailed)


def test_token_ruled_out_is_never_drawn() -> None:
    logits = np.array([0, -np.inf, 0], np.float32)
    assert draw(logits, 300)[1] == 0


def test_tiny_temperature_does_not_overflow() -> None:
    assert draw(logits_of(0.2, 0.5, 0.3) * 50, 20, temperature=1e-6).tolist() == [0, 1, 0]


def test_logprobs_are_the_models_own_whatever_the_temperature() -> None:
    logits = logits_of(0.1, 0.2, 0.3, 0.4) + np.float32(3)
    choice = RowSampler(SamplingParams(temperature=5.0, logprobs=2), 3).choose(logits, 0)
    assert choice.logprobs is not None
    expected = math.log([0.1, 0.2, 0.3, 0.4][choice.token])
    assert choice.logprobs.logprob == pytest.approx(expected, abs=1e-6)
    top = token_logprobs(logits, 0, 2).top
    assert [token for token, _ in top] == [3, 2]
    assert [value for _, value in top] == pytest.approx([math.log(0.4), math.log(0.3)], abs=1e-6)
