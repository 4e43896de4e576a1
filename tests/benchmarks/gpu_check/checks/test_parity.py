"""An exam counts on the provider that was asked for, and on no other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu_check.checks import parity
from benchmarks.gpu_check.workplace import Workplace
from models.bundle import Bundle
from models.golden import Golden
from service.workers.base import LoadReport
from tests.service import graphs as tiny

CUDA = "CUDAExecutionProvider"


def test_an_exam_that_is_passed_where_it_was_asked_for_passes(
    workplace: Workplace, bundle: Bundle
) -> None:
    [result] = parity.run(workplace)
    assert (result.what, result.verdict, result.figure) == (
        f"{bundle.name}/1 on cpu",
        "passed",
        0.0,
    )


def test_an_exam_that_is_failed_is_named_with_its_reason(
    workplace: Workplace, tmp_path: Path
) -> None:
    wrong = Golden({"x": np.ones((1, 4), np.float32)}, {"y": np.full((1, 4), 3, np.float32)})
    tiny.doubler().publish(workplace.repository, "wrong", tmp_path, golden=wrong)
    [result] = parity.run(workplace)
    assert result.verdict == "failed"
    assert result.detail.startswith("exam: ")


def test_a_missing_provider_fails_and_the_other_checks_go_on(
    workplace: Workplace, bundle: Bundle
) -> None:
    both = replace(workplace, providers=("cuda", "cpu"))
    found = list(parity.run(both))
    assert [result.verdict for result in found] == ["failed", "passed"]
    assert "provider_missing" in found[0].detail


@pytest.mark.parametrize(
    ("report", "verdict", "says"),
    [
        (LoadReport(1.0, 2e-5, CUDA, 1), "passed", "loaded in 1.0 s"),
        (LoadReport(1.0, 2e-5, "CPUExecutionProvider", 1), "failed", "it ran on CPUExecution"),
        (LoadReport(1.0, None, CUDA, 1), "not run", "no exam"),
    ],
    ids=["passed", "on the CPU after all", "no exam"],
)
def test_only_the_wanted_providers_exam_counts(
    report: LoadReport, verdict: str, says: str, bundle: Bundle
) -> None:
    result = parity.judge("m", bundle, "cuda", report)
    assert result.verdict == verdict
    assert says in result.detail


def test_bundles_beyond_the_time_are_named(workplace: Workplace, bundle: Bundle) -> None:
    late = replace(workplace, limit_s=0.0)
    [result] = parity.run(late)
    assert (result.verdict, result.detail) == ("not run", "the time was over")
    assert bundle.name in result.what
