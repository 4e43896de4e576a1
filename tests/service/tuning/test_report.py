from pathlib import Path

import pytest

from models.manifest import Evaluation, Manifest, Tolerance, Variant
from service.tuning.accuracy import accuracy_of
from service.tuning.objective import Objective
from service.tuning.report import failures, rows_of, summary, table, told
from tests.service.bundles import digits_bundle
from tests.service.tuning.settings import ALONE, BF16, FP32, INT8, load, outcome, setting

VARIANT = Variant(
    precision="int8-static",
    file="variants/int8-static.onnx",
    size_bytes=1,
    accuracy_delta=-0.004,
    max_difference=0.1,
    tolerance=Tolerance(),
)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    found = digits_bundle(tmp_path / "repository").manifest
    accuracy = Evaluation(dataset="d", split="test", metric="accuracy", value=0.9, samples=1)
    return found.model_copy(update={"evaluation": (accuracy,), "variants": (VARIANT,)})


def test_accuracy_is_what_the_manifest_recorded(manifest: Manifest) -> None:
    assert (accuracy_of(manifest, FP32).loss, accuracy_of(manifest, FP32).text) == (0, "reference")
    assert accuracy_of(manifest, INT8).loss == 0.004
    assert accuracy_of(manifest, INT8).text == "-0.0040"
    assert accuracy_of(manifest, BF16).text == "exam"


def test_where_less_is_better_a_drop_is_a_gain(manifest: Manifest) -> None:
    error = manifest.evaluation[0].model_copy(update={"higher_is_better": False})
    assert accuracy_of(manifest.model_copy(update={"evaluation": (error,)}), INT8).loss == -0.004


def test_compromises_are_marked_and_the_beaten_are_not(manifest: Manifest) -> None:
    outcomes = [
        outcome(setting(FP32), load(40, 30, memory=100)),
        outcome(setting(INT8), load(130, 20, memory=90)),
        outcome(setting(BF16), load(120, 25, memory=95)),
        outcome(setting(BF16, (1, 2)), load(39, 31, memory=101)),
        outcome(setting(ALONE), load(900, 1, errors=0.5, memory=200)),
    ]
    rows = rows_of(outcomes, manifest, (setting(INT8), 8))
    marks = {(row.setting, row.mark) for row in rows}
    assert marks == {
        (setting(FP32), ""),  # as exact as bf16, which is faster and smaller
        (setting(INT8), "→"),
        (setting(BF16), "*"),  # more exact than int8
        (setting(BF16, (1, 2)), ""),
        (setting(ALONE), ""),  # refused half of its callers
    }
    assert [row.load.requests_per_s for row in rows] == [900, 130, 120, 40, 39]


def test_the_table_shows_the_front_the_choice_and_the_start(manifest: Manifest) -> None:
    outcomes = [
        outcome(setting(FP32), load(40, 30)),
        outcome(setting(INT8), load(130, 20)),
        outcome(setting(INT8, (1, 2)), load(100, 22)),
    ]
    rows = rows_of(outcomes, manifest, (setting(INT8), 8))
    shown = told(rows, setting(FP32), everything=False)
    assert [row.setting for row in shown] == [setting(INT8), setting(FP32)]
    assert told(rows, setting(FP32), everything=True) == rows


def test_the_table_is_aligned_and_leaves_out_what_nobody_says(manifest: Manifest) -> None:
    outcomes = [
        outcome(setting(FP32), load(40.25, 30, memory=1 << 20)),
        outcome(setting(INT8), load(1300, 2.5, memory=1 << 20)),
    ]
    text = table(rows_of(outcomes, manifest, (setting(INT8), 8)), manifest)
    assert text.splitlines() == [
        "   runtime      precision    workers×threads  batch  callers  requests/s  p50 ms  p99 ms   "
        "memory  Δ accuracy",
        "→  onnxruntime  int8-static              2×1      8        8       1,300    2.50    2.50  "
        "1.0 MiB  -0.0040",
        "*  onnxruntime  fp32                     2×1      8        8        40.2    30.0    30.0  "
        "1.0 MiB  reference",
    ]


def test_a_load_without_answers_has_dashes(manifest: Manifest) -> None:
    silent = outcome(setting(FP32), load(0, None, errors=1.0))
    text = table(rows_of([silent], manifest, None), manifest)
    assert "–" in text
    assert "100.0%" in text
    assert summary(silent, Objective()) == "no answers"


def test_the_same_failure_is_told_once() -> None:
    outcomes = [
        outcome(setting(BF16), failure="no memory"),
        outcome(setting(BF16, (1, 2)), failure="no memory"),
        outcome(setting(INT8), failure="its exam failed"),
        outcome(setting(FP32), load(4)),
    ]
    assert failures(outcomes) == [
        "not served: openvino bf16, 2×1, batch 8: no memory",
        "not served: onnxruntime int8-static, 2×1, batch 8: its exam failed",
    ]
    assert summary(outcomes[0], Objective()) == "no memory"


def test_a_summary_says_what_callers_felt() -> None:
    text = summary(outcome(setting(), load(1234, 12.34, callers=1)), Objective())
    assert text == "1,234 requests/s, p99 12.3 ms at 1 caller"
