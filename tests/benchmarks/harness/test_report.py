"""The report says what was measured, on what, and what is missing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness.machine import Machine
from benchmarks.harness.plots import draw
from benchmarks.harness.report import Chapter, Report, number
from benchmarks.harness.rows import Promise, Row

MACHINE = Machine(
    cpu="Some CPU",
    cores=2,
    memory_gib=8,
    system="Linux",
    versions={"python": "3.11"},
    commit="abc123",
    date="2026-01-01T00:00:00+00:00",
    load_average=(0.1, 0.2, 0.3),
    busy_share=0.01,
)
ROWS = (
    Row(Promise("json.16.of_hello", "JSON ÷ hello", "×", at_least=0.4), (0.3, 0.32, 0.5)),
    Row(Promise("json.16.rate", "JSON", "requests/s"), (12345.6,)),
    Row(Promise("two", "two front ends", "×", at_least=0.5), why_not="not available: no such flag"),
)
REPORT = Report(
    machine=MACHINE,
    command="python -m benchmarks",
    seconds=3,
    rounds=3,
    chapters=[Chapter("mlp", "Throughput", ROWS, {"json": [{"rate": 1.0}]}, {"model": "small"})],
    load_average_after=(1.0, 1.0, 1.0),
    took_s=60,
)


def test_the_page_names_conditions_misses_and_gaps() -> None:
    text = REPORT.markdown()
    for part in ("Some CPU", "abc123", "python -m benchmarks", "python 3.11", "0.10, 0.20, 0.30"):
        assert part in text
    assert "0 of 1 targets are met" in text
    assert "JSON ÷ hello: 0.32 ×, missed by 20.0%" in text
    assert "| JSON ÷ hello | 0.32 × | 0.3 – 0.5 | ≥ 0.4 × | **missed by 20.0%** |" in text
    assert "| two front ends | – |  | ≥ 0.5 × | not available: no such flag |" in text
    assert "1 of 3 rows" in text


def test_a_machine_that_was_busy_and_a_run_that_was_stopped_are_told() -> None:
    assert "not quiet" not in REPORT.markdown()
    assert "not complete" not in REPORT.markdown()
    busy = replace(REPORT, machine=replace(MACHINE, busy_share=0.6), stopped="interrupted")
    assert "not quiet" in busy.markdown()
    assert "not complete: interrupted" in busy.markdown()


def test_the_file_holds_every_sample(tmp_path: Path) -> None:
    REPORT.write(tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    (chapter,) = found["chapters"]
    assert [row["key"] for row in chapter["rows"]] == [row.promise.key for row in ROWS]
    assert chapter["rows"][0]["samples"] == [0.3, 0.32, 0.5]
    assert chapter["rows"][0]["is_met"] is False
    assert chapter["samples"] == {"json": [{"rate": 1.0}]}
    assert found["machine"]["commit"] == "abc123"


def test_a_percentile_of_nothing_is_null(tmp_path: Path) -> None:
    chapter = replace(REPORT.chapters[0], raw={"3×": [{"p99_ms": float("nan"), "other": {504: 1}}]})
    replace(REPORT, chapters=[chapter]).write(tmp_path)
    found = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert found["chapters"][0]["samples"] == {"3×": [{"p99_ms": None, "other": {"504": 1}}]}


def test_pictures_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    assert [path.name for path in draw(REPORT, tmp_path)] == ["throughput.png"]
    assert (tmp_path / "throughput.png").read_bytes().startswith(b"\x89PNG")
    assert draw(replace(REPORT, chapters=[]), tmp_path) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345.6, "12,346"),
        (0.3204, "0.32"),
        (0.99996, "0.999960"),
        (1.0, "1"),
        (99.94, "99.9"),
        (float("nan"), "none"),
    ],
)
def test_figures_keep_the_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text
