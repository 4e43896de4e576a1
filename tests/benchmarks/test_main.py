"""The command line: options reach the run, and nonsense does not."""

from pathlib import Path

import pytest

from benchmarks.__main__ import parse
from benchmarks.harness.options import ROOT, Options


def test_without_options_the_defaults_hold() -> None:
    found = parse([])
    assert (found.seconds, found.rounds, found.only) == (Options().seconds, Options().rounds, ())
    assert found.checkout == ROOT
    assert found.results == ROOT / "benchmarks" / "results"


def test_scenarios_and_lengths_are_chosen(tmp_path: Path) -> None:
    given = ["--only", "mlp", "--only", "start", "--seconds", "0.5", "--rounds", "1"]
    found = parse([*given, "--checkout", str(tmp_path)])
    assert (found.only, found.seconds, found.rounds) == (("mlp", "start"), 0.5, 1)
    assert found.checkout == tmp_path
    assert found.command[3:7] == ("--only", "mlp", "--only", "start")


@pytest.mark.parametrize(
    "wrong", [["--only", "nothing"], ["--seconds", "0"], ["--rounds", "0"], ["--rounds", "x"]]
)
def test_nonsense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(wrong)
    assert "error" in capsys.readouterr().err
