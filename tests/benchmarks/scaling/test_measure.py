"""Measuring a real server: every figure is there, and the curve is of the runs that were asked for."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness.progress import Progress
from benchmarks.scaling.measure import SHARES, SUBJECTS, measure

pytestmark = pytest.mark.slow


def test_a_real_server_is_measured(tmp_path: Path) -> None:
    subject = replace(SUBJECTS[0], sizes=(1, 4))
    with Progress(1) as progress:
        measured = measure(0.3, 1, tmp_path, progress, [subject])
    (pod,) = measured.pods
    one = pod.profile
    assert one.curve.rows == (1, 4)
    assert 1.5 < one.curve.run_s[1][20] / one.curve.run_s[0][20] < 12, "four rows, four times"
    assert 0 < one.frontend_s < 0.05
    assert 0 < one.trip_s < 0.5
    assert 0 < one.start_s < 60
    assert 0 < pod.capacity < 2 / one.curve.run_s[0][0]
    assert [held.share for held in pod.held] == list(SHARES)
    assert all(sample.rate > 0 for held in pod.held for sample in held.rounds)
    measured.write(tmp_path / "measured.json")
    assert type(measured).read(tmp_path / "measured.json").pods[0].profile.name == one.name
