"""A kept variant passes, a dropped one is no failure."""

import pytest

from benchmarks.gpu_check.checks import precision
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.harness.failures import NotAvailable
from models.bundle import Bundle
from models.manifest import Variant


def test_a_kept_variant_passes_and_a_dropped_one_is_no_failure() -> None:
    variant = Variant(
        precision="fp16",
        provider="cuda",
        size_bytes=3 << 20,
        accuracy_delta=-0.002,
        max_difference=0.1,
        hardware="an H200",
    )
    kept = precision.kept("digits", [variant])
    assert (kept.verdict, kept.figure) == ("passed", -0.002)
    assert "an H200" in kept.detail
    assert precision.kept("digits", []).verdict == "measured"


def test_a_repository_without_the_small_models_cannot_be_judged(
    workplace: Workplace, bundle: Bundle
) -> None:
    assert bundle
    with pytest.raises(NotAvailable, match="has none of digits, language-id"):
        list(precision.run(workplace))
