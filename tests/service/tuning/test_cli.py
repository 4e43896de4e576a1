from pathlib import Path

import pytest

import slipway
from models.errors import UsageError
from service.tuning.cli import callers
from tests.service.bundles import digits_bundle


def test_callers_ascend_and_come_once() -> None:
    assert callers("8,1,32,8") == (1, 8, 32)


@pytest.mark.parametrize(
    "typed", ["", "0", "-1", "1.5", "many", "1,,2", "2000", "1,2,3,4,5,6,7,8,9"]
)
def test_other_numbers_of_callers_are_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="--concurrency"):
        callers(typed)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--slo", "fast"), "--slo 'fast': write a percentile and milliseconds, such as p99_ms=50"),
        (("--time-s", "1"), "--time-s 1: expected 5 to 86400 seconds"),
        (("--time-s", "nan"), "--time-s nan: expected 5 to 86400 seconds"),
        (("--runtime", "tvm"), "--runtime 'tvm': known: auto, onnxruntime"),
        (("--input", "gone.png"), "gone.png does not exist"),
        (("--version", "7"), "has no version 7"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], complaint: str
) -> None:
    digits_bundle(tmp_path / "repository")
    code = slipway.main(["tune", "digits", "--repository", str(tmp_path / "repository"), *flags])
    assert code != 0
    assert complaint in capsys.readouterr().err


def test_an_unknown_model_is_told_with_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits_bundle(tmp_path / "repository")
    assert slipway.main(["tune", "zebra", "--repository", str(tmp_path / "repository")]) == 1
    assert "the repository has: digits" in capsys.readouterr().err


def test_a_dry_run_prints_what_would_be_searched_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = digits_bundle(tmp_path / "repository")
    order = ["tune", "digits", "--repository", str(tmp_path / "repository"), "--dry-run"]
    assert slipway.main([*order, "--slo", "p95_ms=20"]) == 0
    assert "wanted: p95_ms=20" in capsys.readouterr().err
    assert [path.name for path in bundle.path.parent.iterdir() if "tuning" in path.name] == []
