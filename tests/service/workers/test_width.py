"""A second, wide session is kept where it was measured to pay, answers alike, and has room."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.datatypes import DataType
from models.manifest import Batching
from service.workers import host as host_module
from service.workers import width
from service.workers.host import ModelHost
from service.workers.options import HostOptions
from service.workers.width import Disturbed, gain, sample, waited_for_a_core_s
from tests.service import graphs

X = {"x": np.ones((1, 4), np.float32)}


class Time:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Timed:
    """A session whose runs take what the test says."""

    def __init__(self, time: Time, run_s: float, answer: float = 1.0) -> None:
        self._time, self._run_s, self._answer = time, run_s, answer

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._time.now += self._run_s
        return {"y": np.array([self._answer], np.float32)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Runs take simulated time, on a machine that has a core for every thread."""
    clock = Time()
    monkeypatch.setattr(width, "time", clock)
    monkeypatch.setattr(width, "waited_for_a_core_s", lambda: 0.0)
    return clock


def test_a_measurement_on_a_busy_machine_is_given_up(
    clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(width, "waited_for_a_core_s", lambda: clock.now / 2)
    with pytest.raises(Disturbed):
        gain(Timed(clock, 0.03), Timed(clock, 0.02), X, lambda: True)  # type: ignore[arg-type]


def test_waiting_for_a_core_is_read_from_the_kernel(tmp_path: Path) -> None:
    for thread, text in (("7", "100 2000000000 5\n"), ("8", "1 500000000 1\n"), ("9", "")):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "schedstat").write_text(text)
    assert waited_for_a_core_s(tmp_path) == 2.5
    assert waited_for_a_core_s(tmp_path / "absent") == 0.0


def test_the_gain_is_the_ratio_of_the_best_runs(clock: Time) -> None:
    found = gain(Timed(clock, 0.030), Timed(clock, 0.020), X, lambda: True)  # type: ignore[arg-type]
    assert found == pytest.approx(1.5)
    assert clock.now < 1.0, "measuring is bounded in time"


def test_slow_models_are_measured_three_times_and_no_more(clock: Time) -> None:
    gain(Timed(clock, 2.0), Timed(clock, 1.0), X, lambda: True)  # type: ignore[arg-type]
    assert clock.now == pytest.approx((1 + 3) * 3.0)


def test_other_answers_are_no_gain_however_quick(clock: Time) -> None:
    other = Timed(clock, 0.001, answer=1.0000001)
    assert gain(Timed(clock, 0.030), other, X, lambda: True) == 0.0  # type: ignore[arg-type]


def test_a_measurement_beside_other_work_is_given_up(clock: Time) -> None:
    with pytest.raises(Disturbed):
        gain(Timed(clock, 0.03), Timed(clock, 0.02), X, lambda: False)  # type: ignore[arg-type]


def test_one_item_of_the_exam_is_the_sample(bundles: dict[str, Bundle]) -> None:
    found = sample(bundles["double"])
    assert found is not None
    assert found["x"].tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_without_an_exam_zeros_are_the_sample_where_the_sizes_are_known(tmp_path: Path) -> None:
    fixed = graphs.doubler()
    fixed.sample = None
    found = sample(fixed.publish(tmp_path / "repository", "fixed", tmp_path))
    assert found is not None
    assert found["x"].tolist() == [[0.0] * 4]
    free = graphs.Tiny(
        [],
        [graphs.spec("x", DataType.FLOAT, ["batch", "any"])],
        [graphs.spec("y", DataType.FLOAT, ["batch", "any"])],
    )
    assert sample(free.publish(tmp_path / "repository", "free", tmp_path)) is None


@pytest.fixture
def loaded(bundles: dict[str, Bundle]) -> ModelHost:
    host = ModelHost(HostOptions(threads=1))
    host.load(1, bundles["double"])
    return host


def test_a_run_that_is_alone_takes_the_wide_session(
    loaded: ModelHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "LEAST_RUN_S", 0.0)
    monkeypatch.setattr(host_module, "gain", lambda *_: 1.5)
    found = loaded.widen(1, threads=2, free_bytes=1 << 40)
    assert (found.width, found.is_wide) == ("1, or 2 for a batch that is alone (1.50×)", True)
    model = loaded.model(1)
    assert model.wide is not None
    assert model.wide.describe().threads == 2
    used: list[str] = []
    for name, session in (("narrow", model.session), ("wide", model.wide)):
        run = session.run
        monkeypatch.setattr(session, "run", lambda x, n=name, r=run: used.append(n) or r(x))
    for is_alone in (False, True):
        [answer], _ = loaded.run(1, 0, 7, [X["x"]], is_alone)
        assert (answer == 2).all()
    assert used == ["narrow", "wide"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, "too short"),
        ({"LEAST_RUN_S": 0.0, "gain": lambda *_: 1.1}, r"gain 1\.10"),
        ({"LEAST_RUN_S": 0.0, "has_memory_for": lambda *_: False}, "no memory"),
    ],
    ids=["short", "no gain", "no memory"],
)
def test_what_does_not_pay_stays_narrow(
    change: dict[str, object], why: str, loaded: ModelHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in change.items():
        monkeypatch.setattr(host_module, name, value)
    found = loaded.widen(1, threads=2, free_bytes=1 << 40)
    assert not found.is_wide
    assert why.replace("\\", "") in found.width
    assert loaded.model(1).wide is None


def test_an_item_of_a_model_that_cannot_batch_is_taken_whole(tmp_path: Path) -> None:
    one = graphs.Tiny(
        [],
        [graphs.spec("x", DataType.FLOAT, [3], batch_axis=None)],
        [graphs.spec("y", DataType.FLOAT, [3], batch_axis=None)],
    )
    bundle = one.publish(
        tmp_path / "repository", "one", tmp_path, batching=Batching(max_batch_size=1)
    )
    found = sample(bundle)
    assert found is not None
    assert found["x"].shape == (3,)
