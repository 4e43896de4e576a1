"""Kept for a measured reason, dropped for a stated one, and no file that nobody needs."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from models.manifest import MODEL_FILE
from models.runtimes.base import GraphRefused
from tests.training.fake_work import silent_reporter
from tests.training.optimizing.fake_subject import FakeSubject, subject_in
from training.errors import ExportFailed
from training.optimizing import search as searching
from training.optimizing import timing
from training.optimizing.budget import Budget
from training.optimizing.judging import Known
from training.optimizing.search import search
from training.optimizing.static import QUICK, THOROUGH
from training.optimizing.subject import Subject
from training.optimizing.targets import Target, get, named
from training.optimizing.telling import Telling
from training.optimizing.timing import Patience, Speed
from training.optimizing.verdict import show


def measured(factor: float) -> object:
    """Instead of a clock: every target takes `factor` of the reference's time."""

    def measure(
        subject: Subject, targets: Sequence[Target], _: Patience, batches: object = None
    ) -> list[Speed]:
        ms = [1.0, *[factor] * (len(targets) - 1)]
        return [Speed({1: one}, {1: 1000 / one}, {1: one}) for one in ms]

    return measure


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "measure", measured(0.5))


def test_what_is_kept_is_recorded_as_it_was_measured(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    targets = named(["onnxruntime:int8-static"])
    found = search(subject, targets, Budget(points=0.1), QUICK, silent_reporter()[0])
    [variant] = found.kept
    assert (tmp_path / str(variant.file)).stat().st_size == variant.size_bytes
    assert (variant.runtime, variant.provider, variant.precision) == (
        "onnxruntime",
        "cpu",
        "int8-static",
    )
    assert variant.accuracy_interval is not None
    assert variant.accuracy_interval.low <= variant.accuracy_delta
    assert variant.max_difference > 0
    assert variant.tolerance is not None
    assert variant.tolerance.atol > variant.max_difference
    assert variant.is_row_independent
    assert variant.latency_ms == {1: 0.5}
    assert variant.throughput == {1: 2000}
    assert "core" in variant.hardware


def test_dynamic_int8_depends_on_its_neighbours_and_is_timed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    usual = timing.measure

    def noting(
        subject: Subject, targets: Sequence[Target], patience: Patience, *more: object
    ) -> Any:
        asked.extend(more)
        return usual(subject, targets, patience)

    monkeypatch.setattr(timing, "measure", noting)
    subject = subject_in(tmp_path)
    targets = named(["onnxruntime:int8-dynamic"])
    found = search(subject, targets, Budget(points=1), QUICK, silent_reporter()[0])
    assert [variant.is_row_independent for variant in found.kept] == [False]
    assert asked == [(1,)]


def test_over_budget_is_kept_out_with_the_numbers_and_leaves_no_file(tmp_path: Path) -> None:
    subject = subject_in(tmp_path, is_spoiled=True)
    targets = named(["onnxruntime:int8-static"])
    found = search(subject, targets, Budget(points=0), QUICK, silent_reporter()[0])
    assert found.kept == ()
    [verdict] = found.verdicts
    assert verdict.reason.startswith("loses 0.")
    assert list((tmp_path / "variants").iterdir()) == []
    assert (tmp_path / MODEL_FILE).is_file()


def test_a_thorough_search_gives_layers_back_until_the_budget_holds(tmp_path: Path) -> None:
    subject = subject_in(tmp_path, is_spoiled=True)
    targets = named(["onnxruntime:int8-static"])
    found = search(subject, targets, Budget(points=0.05), THOROUGH, silent_reporter()[0])
    [verdict] = found.verdicts
    assert verdict.is_kept, verdict.reason
    assert "2 of 3 layers in fp32" in verdict.detail


def test_one_that_is_neither_smaller_nor_faster_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "measure", measured(1.0))
    subject = subject_in(tmp_path)
    targets = named(["onnxruntime:fp32-optimized"])
    found = search(subject, targets, Budget(), QUICK, silent_reporter()[0])
    assert [verdict.reason for verdict in found.verdicts] == ["neither smaller nor faster"]


def test_one_that_cannot_be_made_is_a_line_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(form: str, source: Path, target: Path) -> None:
        if form == "int8-weight-only":
            raise ExportFailed("it has no matrices")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(searching, "quantize", fail)
    subject = subject_in(tmp_path)
    targets = named(["onnxruntime:int8-weight-only", "onnxruntime:fp32-optimized"])
    report, text = silent_reporter()
    found = search(subject, targets, Budget(), QUICK, report)
    show(found.reference, found.verdicts, report)
    assert "dropped: it has no matrices" in text.getvalue()
    assert [verdict.is_kept for verdict in found.verdicts] == [False, True]


def test_a_graph_that_the_runtime_cannot_read_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(_: str, source: Path, target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes()[:200])

    monkeypatch.setattr(searching, "quantize", spoil)
    targets = named(["onnxruntime:fp32-optimized"])
    found = search(subject_in(tmp_path), targets, Budget(), QUICK, silent_reporter()[0])
    [verdict] = found.verdicts
    assert "ONNX Runtime" in verdict.reason
    assert list((tmp_path / "variants").iterdir()) == []


def test_a_file_that_two_targets_share_is_made_once_and_stays_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    make = searching._SEARCHED["int8-static"]

    def counting(*given: object) -> object:
        made.append(given)
        return make(*given)  # type: ignore[arg-type]

    monkeypatch.setitem(searching._SEARCHED, "int8-static", counting)
    pytest.importorskip("openvino", reason="the second runtime that reads the file")

    class Divided(FakeSubject):
        def objection(self, *given: object) -> str:
            return ""

    subject_in(tmp_path)
    targets = named(["onnxruntime:int8-static", "openvino:int8-static"])
    found = search(Divided(tmp_path), targets, Budget(), QUICK, silent_reporter()[0])
    assert len(made) == 1
    assert {variant.file for variant in found.kept} == {"variants/int8-static.onnx"}
    assert (tmp_path / "variants" / "int8-static.onnx").is_file()


def test_vectors_are_judged_by_their_direction(tmp_path: Path) -> None:
    subject = subject_in(tmp_path, is_spoiled=True)
    subject.is_embedding = True
    targets = named(["onnxruntime:int8-static"])
    found = search(subject, targets, Budget(points=1), QUICK, silent_reporter()[0])
    [verdict] = found.verdicts
    assert verdict.cosine is not None
    assert verdict.reason.startswith(f"cosine {verdict.cosine:.5f} with the reference")


def test_the_table_shows_every_target_under_the_reference(tmp_path: Path) -> None:
    report, text = silent_reporter()
    targets = named(["onnxruntime:fp32-optimized", "onnxruntime:int8-dynamic"])
    found = search(subject_in(tmp_path), targets, Budget(points=1), QUICK, report)
    show(found.reference, found.verdicts, report)
    first, *rows = text.getvalue().strip().splitlines()
    assert first.startswith("target ")
    names = [row.split()[0] for row in rows]
    assert names == ["onnxruntime:fp32", *(target.name for target in targets)]
    assert len({row.index(row.split()[1]) + len(row.split()[1]) for row in rows}) <= 2


def test_no_figures_are_no_deltas(tmp_path: Path) -> None:
    class Unjudged(FakeSubject):
        def evaluate(self, predict: object) -> tuple[()]:
            return ()

        def item_scores(self, predict: object) -> None:  # type: ignore[override]
            return None

    subject_in(tmp_path)
    targets = named(["onnxruntime:fp32-optimized"])
    found = search(Unjudged(tmp_path), targets, Budget(), QUICK, silent_reporter()[0])
    [verdict] = found.verdicts
    assert verdict.cosine == pytest.approx(1.0)
    assert verdict.variant is not None
    assert verdict.variant.accuracy_interval is None
    assert np.isfinite(verdict.variant.max_difference)


def test_layers_are_given_back_until_every_runtime_of_the_file_is_within_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runtimes round in different places. One that cannot run the graph at all has no say in it."""
    asked: list[str] = []

    def judged(_: object, target: Target, *__: object) -> SimpleNamespace:
        asked.append(target.name)
        if target.runtime == "openvino" and len(asked) > 2:
            raise GraphRefused("cannot be read")
        return SimpleNamespace(objection="loses" if target.runtime == "openvino" else "")

    monkeypatch.setattr(searching, "judge", judged)
    subject = subject_in(tmp_path)
    names = ("onnxruntime:int8-static", "openvino:int8-static")
    shared = [get(name) for name in names]
    tell = cast(Telling, SimpleNamespace(doing=lambda _: None))
    trial = searching._Trial(
        subject, shared[0], cast(Known, None), Budget(), QUICK, tell, shared
    )  # fmt: skip
    assert trial._objection() == "loses"
    assert trial._objection() == ""
    assert asked == [*names, *names]
