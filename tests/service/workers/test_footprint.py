"""What a model takes of a process is measured, and foretold for larger batches."""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from models.datatypes import DataType
from models.errors import InferenceFailed
from service.workers.footprint import Footprint, Measure, peaks
from tests.service import graphs

MIB = 1 << 20
SPECS = (graphs.spec("x", DataType.FLOAT, ["batch", 4]),)
ITEM = {"x": np.zeros((1, 4), np.float32)}

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")


def test_between_and_beyond_measured_batches_activations_grow_with_the_rows() -> None:
    found = Footprint(loaded_bytes=100, peaks=((1, 110), (8, 180)))
    assert (found.at(1), found.at(2), found.at(8)) == (110, 180, 180)
    assert found.at(16) == 260
    assert Footprint(loaded_bytes=100, peaks=((1, 110),)).at(4) == 140
    assert Footprint(loaded_bytes=100).at(64) == 100
    assert Footprint(loaded_bytes=100, promised_bytes=50).at(1) == 150


def test_nothing_shrinks_with_the_rows() -> None:
    assert Footprint(loaded_bytes=100, peaks=((1, 120), (8, 90))).at(100) == 120


@linux
def test_what_is_kept_and_what_is_only_passed_through_are_told_apart() -> None:
    measure = Measure()
    passed = np.ones(60 * MIB, np.uint8)
    del passed
    # More than 32 MiB, or malloc may have it left over from another test.
    kept = np.ones(40 * MIB, np.uint8)
    found = measure.loaded()
    assert found.loaded_bytes == pytest.approx(40 * MIB, abs=6 * MIB)
    assert found.opening_bytes == pytest.approx(60 * MIB, abs=6 * MIB)
    assert found.before_bytes > 20 * MIB
    assert kept.all()


@linux
def test_the_peak_of_one_run_does_not_know_the_one_before() -> None:
    measure = Measure()
    assert measure.peak_of(lambda: np.ones(64 * MIB, np.uint8).sum()) > 60 * MIB
    assert measure.peak_of(lambda: None) < 32 * MIB


def test_where_the_kernel_does_not_tell_all_is_nothing(tmp_path: Path) -> None:
    assert Measure(tmp_path).loaded() == Footprint()


def run(seen: list[int], most: int = 1000) -> "Run":
    return Run(seen, most)


class Run:
    def __init__(self, seen: list[int], most: int) -> None:
        self._seen, self._most = seen, most

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> None:
        rows = len(inputs["x"])
        if rows > self._most:
            raise InferenceFailed("no memory")
        self._seen.append(rows)


def test_one_row_is_run_and_as_many_as_a_batch_holds() -> None:
    seen: list[int] = []
    found = peaks(Measure(), run(seen), ITEM, SPECS, most_rows=16)
    assert seen == [1, 16]
    assert [rows for rows, _ in found] == [1, 16]


def test_a_batch_that_fails_is_left_out() -> None:
    seen: list[int] = []
    found = peaks(Measure(), run(seen, most=4), ITEM, SPECS, most_rows=16)
    assert [rows for rows, _ in found] == [1]


def test_a_slow_model_is_run_with_one_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.workers.footprint._BUDGET_S", 0.0)
    seen: list[int] = []
    peaks(Measure(), run(seen), ITEM, SPECS, most_rows=16)
    assert seen == [1]


def test_it_crosses_between_processes() -> None:
    found = Footprint(1, 2, 3, 4, ((1, 5), (8, 6)))
    crossed = {**vars(found), "peaks": [[1, 5], [8, 6]]}
    assert Footprint.from_json(crossed) == found
