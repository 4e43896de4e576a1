"""What is said of text models: exam, words, speed, and captured steps."""

from dataclasses import replace

import pytest

from benchmarks.gpu_check.checks import generation, writing
from benchmarks.gpu_check.result import not_run
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.harness.failures import NotAvailable
from models.bundle import Bundle
from service.workers.base import LoadReport

CUDA = "CUDAExecutionProvider"


def wrote(tokens: list[int]) -> generation.Written:
    return generation.Written(LoadReport(1.0, 0.0, CUDA, 1), tokens, {1: 100.0, 8: 500.0})


def test_words_are_compared_up_to_the_first_that_differs() -> None:
    assert writing.equal_share([1, 2, 3, 4], [1, 2, 9, 4]) == 0.5
    assert writing.equal_share([1, 2], [1, 2]) == 1.0


def test_a_text_models_results_name_exam_words_speed_and_captured_steps(
    workplace: Workplace, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by(_: Bundle, provider: str, __: int) -> generation.Written:
        return wrote([1, 2, 3] if provider == "cpu" else [1, 2, 4])

    monkeypatch.setattr(generation.Written, "by", by)
    monkeypatch.setattr(generation, "captured", lambda *_: iter([not_run("captured", "here")]))
    cuda = replace(workplace, providers=("tensorrt", "cuda"))
    found = list(generation.compared(bundle, cuda))
    assert [result.verdict for result in found] == [
        "passed",
        "failed",
        "measured",
        "measured",
        "not run",
    ]
    assert [result.figure for result in found[2:4]] == [100.0, 500.0]


def test_without_a_text_model_the_check_says_so(workplace: Workplace, bundle: Bundle) -> None:
    assert bundle
    with pytest.raises(NotAvailable, match="no model that writes text"):
        list(generation.run(workplace))
