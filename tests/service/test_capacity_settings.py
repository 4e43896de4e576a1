"""Targets of latency are said per model, in the field's words; nonsense stops the start."""

import pytest

from models.errors import UsageError
from service.settings import load_settings


def test_each_model_has_its_own_target_and_the_rest_the_stars() -> None:
    settings = load_settings(latency_target=("digits=p95_ms=20", "*=p95_ms=0.5"))
    assert settings.latency_target_s("digits") == 0.02
    assert settings.latency_target_s("other") == 0.0005
    assert load_settings().latency_target_s("digits") == 0.0


def test_the_environment_separates_them_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_LATENCY_TARGET", "a=p95_ms=20, b=p95_ms=30")
    settings = load_settings()
    assert (settings.latency_target_s("a"), settings.latency_target_s("b")) == (0.02, 0.03)


@pytest.mark.parametrize(
    "wrong",
    [
        "digits",
        "digits=20",
        "digits=p99_ms=20",
        "=p95_ms=20",
        "a=p95_ms=0",
        "a=p95_ms=nan",
        "a=p95_ms=x",
    ],
)
def test_nonsense_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"--latency-target=.*digits=p95_ms=20"):
        load_settings(latency_target=(wrong,))
