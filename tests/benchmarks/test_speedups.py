"""README's table of speed-ups says what was measured, and nothing that was not."""

import json
from typing import Any

import pytest

from benchmarks.graphs.optimized_models import MODELS
from benchmarks.speedups import PAGE, REPORT, filled, text


def row(key: str, value: float | None, wanted: float | None = None, note: str = "") -> Any:
    samples = [] if value is None else [value * 0.9, value, value * 1.1]
    return {"key": key, "value": value, "samples": samples, "at_least": wanted, "note": note}


def report(**changes: Any) -> Any:
    rows = {}
    for model in MODELS:
        rows[f"{model.key}.fp32"] = row(f"{model.key}.fp32", 41.26)
        for way in ("auto", "plain"):
            rows[f"{model.key}.{way}"] = row(f"{model.key}.{way}", 2.0, model.at_least)
            rows[f"{model.key}.{way}.budget"] = row(f"{model.key}.{way}.budget", 0.0019)
    facts = {f"{model.title}, auto": "openvino bf16: 2 times as fast" for model in MODELS}
    chapter = {"name": "optimization", "rows": list((rows | changes).values()), "facts": facts}
    machine = {"cpu": "a processor", "cores": 2.0, "date": "2026-01-02T03:04", "commit": "abc"}
    return {"chapters": [chapter], "machine": machine, "command": "python -m benchmarks"}


def test_the_readme_holds_the_figures_of_the_report() -> None:
    page = PAGE.read_text()
    found = json.loads(REPORT.read_text())
    assert page == filled(page, found), "run python -m benchmarks.speedups"


def test_every_model_has_a_line_with_choice_speed_and_accuracy() -> None:
    lines = text(report()).splitlines()
    assert len(lines) == 2 + len(MODELS) + 2
    first = lines[2]
    assert "| ResNet-50, 8 callers | 41.3 items/s | openvino bf16 |" in first
    assert "**2.00** (1.80–2.20; wanted 5) | -0.19 points" in first
    assert "a processor, 2 cores, 2026-01-02, commit abc: `python -m benchmarks`" in lines[-1]


def test_what_was_not_measured_says_why() -> None:
    missing = row("resnet-50.auto", None, 5.0, "not available: no wrk")
    assert "not available: no wrk" in text(report(**{"resnet-50.auto": missing}))


def test_a_page_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="speedups"):
        filled("# A page", report())
