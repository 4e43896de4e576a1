"""What is learned from runs."""

import random

import pytest

from service.batching.cost import CostCurve, bucket
from tests.service.batching.simulated import (
    Seconds,
    cliff,
    long_attention,
    minilm,
    no_gain,
    on_gpu,
    perceptron,
    resnet50,
    tiles_of_rows,
)


def learned(
    seconds: Seconds, runs: int = 400, noise: float = 0.0, rows: int = 16, length: int = 160
) -> CostCurve:
    """After runs of up to `rows` rows, up to `length` long, small ones more often."""
    curve, chance = CostCurve(), random.Random(3)
    for _ in range(runs):
        size = (int(rows ** chance.random()), int(length ** chance.uniform(0.4, 1.0)))
        curve.record(*size, seconds(*size) * chance.uniform(1 - noise, 1 + noise))
    return curve


def error(curve: CostCurve, seconds: Seconds, rows: int, length: int) -> float:
    return curve.run_s(rows, length) / seconds(rows, length) - 1


def test_nothing_is_known_before_anything_was_measured() -> None:
    curve = CostCurve()
    assert not curve.is_known
    assert curve.run_s(4, 16) == curve.fixed_s == curve.unit_s == 0.0


def test_one_size_alone_tells_no_curve_but_an_upper_bound() -> None:
    curve = CostCurve()
    for _ in range(20):
        curve.record(4, 10, 0.008)
    assert not curve.is_known
    assert curve.unit_s == pytest.approx(0.0002)


def test_fixed_part_and_slope_are_told_apart() -> None:
    curve = CostCurve()
    for tokens in (8, 16, 32, 64, 128, 24, 48):
        curve.record(1, tokens, 0.0013 + 0.000128 * tokens)
    assert curve.fixed_s == pytest.approx(0.0013)
    assert curve.run_s(1, 200) == pytest.approx(0.0013 + 0.000128 * 200)


@pytest.mark.parametrize("seconds", [minilm, on_gpu, no_gain, cliff, long_attention])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_runs_of_sizes_that_were_seen_are_foretold(seconds: Seconds, noise: float) -> None:
    curve = learned(seconds, noise=noise)
    errors = [abs(error(curve, seconds, r, n)) for r in (1, 2, 4, 8) for n in (12, 40, 100, 150)]
    assert max(errors) < 0.25
    assert sum(errors) / len(errors) < 0.08


def test_long_runs_that_bend_upwards_do_not_hide_what_short_ones_cost() -> None:
    """Where attention dominates, a straight line through short and long runs would begin below zero."""
    curve = learned(long_attention, rows=4, length=512)
    assert curve.fixed_s == pytest.approx(0.0006, rel=0.2)
    assert abs(error(curve, long_attention, 1, 500)) < 0.05


def test_plateaus_are_found_where_no_line_follows_them() -> None:
    curve, chance = CostCurve(), random.Random(3)
    for _ in range(400):
        rows = chance.randint(1, 12)
        curve.record(rows, 32, tiles_of_rows(rows, 32) * chance.uniform(0.9, 1.1))
    four, five = curve.run_s(4, 32), curve.run_s(5, 32)
    assert five / four == pytest.approx(2, rel=0.15)
    assert curve.run_s(3, 32) == pytest.approx(four, rel=0.15)


def test_one_disturbed_run_is_no_news() -> None:
    curve = learned(minilm)
    before_s = curve.run_s(2, 40)
    curve.record(2, 40, 5.0)
    for _ in range(8):
        curve.record(2, 40, minilm(2, 40))
    assert curve.run_s(2, 40) == pytest.approx(before_s, rel=0.2)


@pytest.mark.parametrize("times", [0.3, 3.0])
def test_a_machine_that_changed_is_learned_again(times: float) -> None:
    curve = learned(resnet50, length=1)
    for _ in range(100):
        for rows in (1, 2, 4, 8):
            curve.record(rows, 1, times * resnet50(rows, 1))
    for rows in (1, 3, 16):
        assert abs(error(curve, resnet50, rows, 1) + 1 - times) < 0.1 * times


def test_pictures_of_several_sizes_have_one_curve() -> None:
    curve = CostCurve()
    for _ in range(10):
        for rows in (1, 2, 4):
            for elements in (3 * 64 * 64, 3 * 224 * 224):
                curve.record(rows, elements, 0.001 + rows * elements * 1e-7)
    assert curve.run_s(3, 3 * 224 * 224) == pytest.approx(0.001 + 3 * 150_528e-7, rel=0.02)
    assert curve.run_s(3, 3 * 64 * 64) == pytest.approx(0.001 + 3 * 12_288e-7, rel=0.02)


def test_a_small_network_is_measured_in_microseconds() -> None:
    curve = learned(perceptron, rows=64, length=1)
    assert curve.fixed_s == pytest.approx(0.00003, rel=0.1)


def test_buckets_are_exact_to_eight_and_then_four_to_a_doubling() -> None:
    assert [bucket(size) for size in range(1, 9)] == list(range(1, 9))
    assert [bucket(size) for size in (9, 10, 11, 12, 13, 16, 17, 20)] == [
        9,
        9,
        10,
        10,
        11,
        12,
        13,
        13,
    ]
    assert bucket(65_536) == 60
    found = [bucket(size) for size in range(1, 5000)]
    assert found == sorted(found)
