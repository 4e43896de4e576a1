"""Truncation and drawing equal a plain sort of everything, and what transformers keeps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax  # type: ignore[import-untyped]
from scipy.stats import chisquare  # type: ignore[import-untyped]
from transformers import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from service.generation.drawing import draw, inverse, nucleus
from service.generation.ranking import largest, token_logprobs
from service.generation.request import SamplingParams
from service.generation.seeds import uniform

sizes = st.sampled_from([1, 2, 5, 63, 64, 65, 300, 1023, 1024, 1025, 5000])
numbers = st.integers(0, 2**32)
params = st.builds(
    SamplingParams,
    temperature=st.floats(0.05, 5),
    top_k=st.sampled_from([0, 1, 2, 7, 64, 65, 200, 10_000]),
    top_p=st.floats(0.01, 1) | st.just(1.0),
    min_p=st.floats(0, 0.5) | st.just(0.0),
)


def row(seed: int, size: int, *, rounded: bool = False) -> np.ndarray:
    """Random logits; `rounded`: many equal ones, and some that are ruled out."""
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=rng.uniform(0.1, 6), size=size).astype(np.float32)
    if rounded:
        values = np.round(values)
        values[1:][rng.random(size - 1) < 0.3] = -np.inf
    return values


def slow_kept(logits: np.ndarray, rule: SamplingParams) -> tuple[list[int], list[int]]:
    """Tokens that surely stay and that perhaps do (at the edge of a sum), by sorting everything twice."""
    scaled = logits.astype(np.float64) / rule.temperature
    order = [int(i) for i in np.argsort(-scaled, kind="stable") if np.isfinite(scaled[i])]
    weights = np.exp(scaled - scaled.max())
    for_sure = [i for i in order if weights[i] >= rule.min_p * (1 + 1e-5)]
    perhaps = [i for i in order if weights[i] >= rule.min_p * (1 - 1e-5)]
    if rule.top_k:
        for_sure, perhaps = for_sure[: rule.top_k], perhaps[: rule.top_k]
    if rule.top_p == 1.0:
        return for_sure, perhaps
    kept = []
    for ids, slack in ((for_sure, -1e-5), (perhaps, 1e-5)):
        before = np.cumsum(weights[ids]) - weights[ids]
        kept.append(
            [
                i
                for i, b in zip(ids, before / weights[ids].sum(), strict=True)
                if b < rule.top_p + slack or i == ids[0]
            ]
        )
    return kept[0], kept[1]


@given(numbers, sizes, params, st.booleans(), st.floats(0, 1, exclude_max=True))
def test_draw_is_the_one_of_a_full_sort(
    seed: int, size: int, rule: SamplingParams, rounded: bool, chance: float
) -> None:
    logits = row(seed, size, rounded=rounded)
    token = draw(logits, logits.max(), rule, chance)
    for_sure, perhaps = slow_kept(logits, rule)
    assert token in perhaps
    if len(for_sure) == len(perhaps):  # nothing lies on an edge: the very token is known
        ids = np.sort(for_sure)
        shares = np.exp((logits[ids].astype(np.float64) - logits.max()) / rule.temperature)
        edges = np.cumsum(shares) / shares.sum()
        place = int(np.flatnonzero(ids == token)[0])
        assert edges[place] - shares[place] / shares.sum() <= chance + 1e-5
        assert chance - 1e-5 <= edges[place]


@pytest.mark.parametrize("scale", [0.5, 4.0])
@pytest.mark.parametrize(
    ("rule", "referee"),
    [
        ({"top_k": 40}, TopKLogitsWarper(40)),
        ({"top_p": 0.8}, TopPLogitsWarper(0.8)),
        ({"min_p": 0.05}, MinPLogitsWarper(0.05)),
    ],
    ids=["top_k", "top_p", "min_p"],
)
def test_truncation_keeps_what_transformers_keeps(
    rule: dict[str, float], referee: object, scale: float
) -> None:
    size, temperature = 2000, 0.7
    logits = (np.random.default_rng(3).normal(size=size) * scale).astype(np.float32)
    scores = TemperatureLogitsWarper(temperature)(None, torch.from_numpy(logits)[None])
    kept = torch.isfinite(referee(None, scores))[0].numpy()  # type: ignore[operator]
    weights = torch.softmax(scores[0].double(), 0).numpy() * kept
    edges = np.cumsum(weights / weights.sum())
    sampling = SamplingParams(temperature=temperature, **rule)  # type: ignore[arg-type]
    for index in np.flatnonzero(kept)[:: max(1, int(kept.sum()) // 200)]:
        middle = edges[index] - weights[index] / weights.sum() / 2
        assert draw(logits, logits.max(), sampling, float(middle)) == index


@given(numbers, sizes, st.integers(1, 6000), st.booleans())
def test_largest_are_those_of_a_stable_sort(
    seed: int, size: int, count: int, rounded: bool
) -> None:
    values = row(seed, size, rounded=rounded)
    order = np.argsort(-values, kind="stable")[:count]
    assert largest(values, count).tolist() == sorted(order[np.isfinite(values[order])].tolist())


@given(numbers, sizes, st.floats(0.01, 1, exclude_max=True))
def test_nucleus_holds_the_mass_and_nothing_that_it_can_spare(
    seed: int, size: int, top_p: float
) -> None:
    weights = np.exp(row(seed, size, rounded=True))
    kept = nucleus(weights, top_p)
    mass = weights.sum(dtype=np.float64)
    held = weights[kept].sum(dtype=np.float64)
    assert held >= top_p * mass * (1 - 1e-6)
    assert held - weights[kept].min() <= top_p * mass * (1 + 1e-6)
    assert weights[kept].min() >= np.delete(weights, kept).max(initial=0)
    assert (np.diff(kept) > 0).all()


@given(numbers, sizes)
def test_inverse_is_never_a_token_without_weight(seed: int, size: int) -> None:
    weights = np.exp(row(seed, size, rounded=True))
    last = np.nextafter(1.0, 0.0)
    for chance in (0.0, 1e-12, 0.3, 0.999999, last):
        index = inverse(weights, chance)
        assert weights[index] > 0
        edges = np.cumsum(weights, dtype=np.float64)
        assert abs(edges[index] - chance * edges[-1]) <= weights[index] + 1e-6 * edges[-1]


@pytest.mark.parametrize("size", [40, 3000])
def test_draws_are_distributed_as_the_weights(size: int) -> None:
    logits = (np.random.default_rng(8).normal(size=size) * 1.5).astype(np.float32)
    rule = SamplingParams(temperature=0.8, top_p=0.97, min_p=0.001)
    count = 10_000
    for_sure, perhaps = slow_kept(logits, rule)
    assert for_sure == perhaps
    wanted = np.zeros(size)
    wanted[for_sure] = np.exp(logits[for_sure].astype(np.float64) / rule.temperature)
    wanted *= count / wanted.sum()
    found = np.zeros(size)
    for position in range(count):
        found[draw(logits, logits.max(), rule, uniform(7, position))] += 1
    assert found[wanted == 0].sum() == 0
    # Groups of at least 50 expected hits, as the test needs.
    groups = (np.cumsum(wanted[for_sure]) // 50).astype(int)
    sums = [np.bincount(groups, values[for_sure]) for values in (found, wanted)]
    sums = [values[sums[1] > 0] for values in sums]
    assert chisquare(*sums).pvalue > 0.001


@given(numbers, sizes, st.integers(0, 20), st.booleans())
def test_logprobs_are_the_log_softmax_of_the_raw_logits(
    seed: int, size: int, alternatives: int, rounded: bool
) -> None:
    logits = row(seed, size, rounded=rounded)
    exact = log_softmax(logits.astype(np.float64))
    token = seed % size
    found = token_logprobs(logits, token, alternatives)
    assert found.logprob == pytest.approx(max(exact[token], -9999.0), abs=2e-6)
    order = [i for i in np.argsort(-logits, kind="stable") if np.isfinite(logits[i])]
    assert [i for i, _ in found.top] == order[:alternatives]
    assert [v for _, v in found.top] == pytest.approx(exact[order[:alternatives]], abs=2e-6)
    assert all(v <= 0 for _, v in found.top)
