"""The command line: three commands, their files, and no nonsense."""

from pathlib import Path

import pytest

from benchmarks.scaling.__main__ import MEASURED, SIMULATED, parse


def test_the_committed_files_are_the_defaults() -> None:
    assert parse(["measure"]).out == MEASURED
    simulate = parse(["simulate"])
    assert (simulate.measured, simulate.out) == (MEASURED, SIMULATED)
    assert parse(["page"]).command == "page"


def test_other_files_are_taken(tmp_path: Path) -> None:
    given = ["simulate", "--measured", str(tmp_path / "a"), "--out", str(tmp_path / "b")]
    assert parse(given).out == tmp_path / "b"


@pytest.mark.parametrize(
    "wrong", [[], ["guess"], ["measure", "--seconds", "0"], ["measure", "--rounds", "0"]]
)
def test_nonsense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(wrong)
    assert "usage" in capsys.readouterr().err
