"""`slipway doctor` tells what runs, what does not and why; scripts read it as JSON and by its exit code."""

import argparse
import json
import os
from pathlib import Path

import pytest

from models import doctor
from models.doctor import add_commands, memory_bytes
from models.runtimes.capabilities import Capability
from models.runtimes.hardware import this_machine

WORKS = Capability("onnxruntime", "cpu", ("avx2",), ("fp32", "int8"), ("fp32",))
BROKEN = Capability("openvino", "cpu", is_available=False, why_not="not installed: pip install it")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Capability]:
    """What `probe` finds and trials leave as it is."""
    capabilities = [WORKS, BROKEN]
    monkeypatch.setattr(doctor, "probe", lambda: capabilities)
    monkeypatch.setattr("models.runtimes.trial.tried", lambda capability: capability)
    return capabilities


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    parsed = parser.parse_args(["doctor", *arguments])
    code: int = parsed.handler(parsed)
    return code


def test_each_runtime_has_a_line_with_the_reason_why_not(
    found: list[Capability], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    head, works, broken, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["RUNTIME", "PROVIDER"]
    assert works.split() == ["onnxruntime", "cpu", "avx2", "fp32", "int8", "fp32", "yes"]
    assert broken.split()[:2] == ["openvino", "cpu"]
    assert broken.endswith("no         not installed: pip install it")


def test_the_machine_is_described_below(
    found: list[Capability], capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    text = capsys.readouterr().out
    assert this_machine().processor in text
    assert this_machine().fingerprint in text
    assert f"affinity {len(os.sched_getaffinity(0))}" in text


def test_json_holds_all_of_it(found: list[Capability], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [entry["available"] for entry in record["runtimes"]] == [True, False]
    assert record["runtimes"][1]["why_not"] == BROKEN.why_not
    assert record["runtimes"][0]["precisions"] == ["fp32", "int8"]
    assert record["cores"]["usable"] == this_machine().cores
    assert record["memory"]["total_bytes"] >= record["memory"]["available_bytes"] > 0
    assert record["versions"].keys() >= {"slipway", "python", "onnxruntime"}
    assert record["fingerprint"] == this_machine().fingerprint


def test_it_fails_only_when_nothing_can_run(
    found: list[Capability], capsys: pytest.CaptureFixture[str]
) -> None:
    found[:] = [BROKEN]
    assert run() == 1
    assert "not installed" in capsys.readouterr().out


def test_a_trial_decides_over_what_is_installed(
    found: list[Capability], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("models.runtimes.trial.tried", lambda _: BROKEN)
    assert run() == 1


def test_memory_that_the_kernel_does_not_show_is_zero(tmp_path: Path) -> None:
    assert memory_bytes(tmp_path / "absent") == (0, 0)
    shown = tmp_path / "meminfo"
    shown.write_text("MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n")
    assert memory_bytes(shown) == (2 << 20, 1 << 20)
