"""Batching never makes anything slower: closed loops of callers, run times as they were measured on CPUs
and supposed for others, in simulated time. See `simulated` for costs and contenders."""

import random

import numpy as np
import pytest

from service.batching.batcher import BatchLimits
from tests.service.batching.simulated import (
    TEXT_COSTS,
    Lengths,
    Load,
    Seconds,
    compared,
    minilm,
    minilm_int8,
    no_gain,
    on_gpu,
    perceptron,
    resnet50,
    texts,
    tiles_of_rows,
    tokens_of_4_to_120_words,
    tokens_of_4_to_400_words,
    vectors,
    worse_together,
)
from tests.service.batching.test_batcher import text_manifest

NOISE = 0.04
"""Runs are disturbed by up to a tenth, and sizes are tried now and then to learn what they cost."""


@pytest.mark.parametrize("length", [tokens_of_4_to_120_words, tokens_of_4_to_400_words])
@pytest.mark.parametrize("seconds", TEXT_COSTS)
@pytest.mark.parametrize("callers", [1, 3, 8, 64])
def test_batching_by_default_is_never_slower_than_none(
    seconds: Seconds, callers: int, length: Lengths
) -> None:
    load = texts(seconds, callers, length=length)
    assert load.rate() > (1 - NOISE) * load.rate_one_by_one()


@pytest.mark.parametrize("length", [tokens_of_4_to_120_words, tokens_of_4_to_400_words])
@pytest.mark.parametrize(
    "seconds",
    [cost for cost in TEXT_COSTS if cost.__name__ != "busy_gpu"],
    ids=lambda cost: cost.__name__,
)
def test_padding_everything_that_waits_is_never_better(seconds: Seconds, length: Lengths) -> None:
    """But for a cost that has no part per token at all up to 4,096."""
    with_curve, padded = compared(texts(seconds, 64, length=length))
    assert with_curve > padded


@pytest.mark.parametrize(
    ("seconds", "least"), [(minilm_int8, 1.04), (on_gpu, 4.0), (tiles_of_rows, 3.0)]
)
def test_what_batches_can_gain_they_do(seconds: Seconds, least: float) -> None:
    assert compared(texts(seconds, 64))[0] > least


@pytest.mark.parametrize("seconds", [no_gain, worse_together])
def test_what_gains_nothing_is_run_alone(seconds: Seconds) -> None:
    load = texts(seconds, 64)
    load.rate()
    assert np.mean(load.batches[len(load.batches) // 2 :]) < 1.2


@pytest.mark.parametrize("callers", [2, 4, 32, 64])
def test_mixed_texts_on_a_cpu_are_as_fast_as_sessions_without_a_server(callers: int) -> None:
    assert texts(minilm, callers).ratio() > 0.93


def test_mixed_texts_on_a_gpu_are_several_times_as_fast() -> None:
    one = BatchLimits(max_batch_size=32, max_queue_rows=512, concurrency=1)
    assert texts(on_gpu, 64, one).ratio() > 3.0


@pytest.mark.parametrize("callers", [2, 8, 16])
def test_a_convolutional_network_keeps_all_workers_busy_and_is_not_batched(callers: int) -> None:
    load = vectors(resnet50, callers)
    assert load.ratio() > 0.93
    assert np.mean(load.batches[len(load.batches) // 2 :]) < 1.2


def test_a_small_network_is_batched_as_far_as_callers_allow() -> None:
    load = vectors(perceptron, 64)
    assert load.ratio() > 0.25, "one trip of 0.2 ms a request would be 0.07"
    assert np.mean(load.batches[len(load.batches) // 2 :]) > 20


def test_a_long_text_among_short_ones_does_not_hold_them_up() -> None:
    def short_or_long(chance: random.Random) -> int:
        return 500 if chance.random() < 0.02 else chance.randint(8, 16)

    def p90_s(load: Load) -> float:
        load.ratio()
        return float(np.quantile([s for length, s in load.latencies_s if length < 100], 0.9))

    alone = Load(minilm, text_manifest(), lambda chance: chance.randint(8, 16), 8)
    mixed = Load(minilm, text_manifest(), short_or_long, 8)
    assert p90_s(mixed) <= 2 * p90_s(alone)
