"""The measured curve: what is drawn from it is what went in, and a file keeps all of it."""

import random
from pathlib import Path

import pytest

from benchmarks.scaling.curve import Curve, Held, LoadSample, Measured, Pod, Profile


def spread(base_s: float) -> list[float]:
    return [base_s * (1 + number / 100) for number in range(101)]


def test_draws_have_the_spread_of_the_samples() -> None:
    curve, chance = Curve.of({1: spread(0.01)}), random.Random(2)
    drawn = sorted(curve.draw(1, chance) for _ in range(20_000))
    assert drawn[0] >= 0.01
    assert drawn[-1] <= 0.02
    assert sum(drawn) / len(drawn) == pytest.approx(0.015, rel=0.01)
    assert drawn[15_000] == pytest.approx(0.0175, rel=0.01)


def test_sizes_between_and_beyond_follow_the_line() -> None:
    curve = Curve.exactly(0.004, 0.001, 8)
    assert curve.mean_s(1) == pytest.approx(0.005)
    assert curve.mean_s(5) == pytest.approx(0.009)
    assert curve.mean_s(16) == pytest.approx(0.020)


def test_the_best_batch_is_the_largest_where_a_part_is_fixed() -> None:
    assert Curve.exactly(0.004, 0.001, 8).most_per_s(8) == pytest.approx(8 / 0.012)
    assert Curve.exactly(0, 0.005, 8).most_per_s(8) == pytest.approx(200)


def test_noise_never_makes_quantiles_cross() -> None:
    curve = Curve.of({1: spread(0.01), 2: [0.012] * 50})
    assert list(curve._at(4)) == sorted(curve._at(4))


def test_a_file_keeps_everything(tmp_path: Path) -> None:
    profile = Profile("m", "a model", Curve.exactly(0.5, 0.25, 4), start_s=1.5)
    load = LoadSample(10, 10, 1, 2, 0, 1, 0.1)
    pod = Pod(profile, 100.0, ((1.0, 2.0), (1.5, 2.5)), (Held(0.5, (load, load)),))
    measured = Measured({"cpu": "x"}, "command", 1.0, 2, (0.1, 0.2, 0.3), (pod,))
    measured.write(tmp_path / "m.json")
    assert Measured.read(tmp_path / "m.json") == measured
