"""`slipway optimize` as a person meets it: one line, the remedy, code 2."""

from pathlib import Path

import pytest

import slipway
from training.optimizing.cli import named_version
from training.optimizing.targets import TARGETS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "MODEL[@VERSION]"),
        (["digits@zero"], "expected MODEL or MODEL@VERSION, e.g. digits@3"),
        (["../digits"], "names no model"),
        (["digits", "--targets", "nonsense"], "known targets are onnxruntime:fp32-optimized"),
        (["digits", "--targets", ","], "no target is named"),
        (["digits", "--targets", "openvino:bf61"], "did you mean openvino:bf16?"),
        (["digits", "--points", "7"], "--points 7: expected a number from 0 to 1"),
        (["digits", "--points", "half"], "--points"),
        (["nothing"], "no model 'nothing'"),
        (["digits", "--targets", "onnxruntime:fp16@cuda"], "cannot be measured here"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_expected(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "repository").mkdir(parents=True)
    code = slipway.main(["optimize", *arguments])
    out, err = capsys.readouterr()
    assert code != 0
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_help_teaches_every_target_and_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        slipway.main(["optimize", "--help"])
    out = capsys.readouterr().out
    for name, target in TARGETS.items():
        assert f"{name} " in out
        assert target.summary in out
    assert "half a point" in out


def test_a_version_may_be_named() -> None:
    assert named_version("digits") == ("digits", None)
    assert named_version("digits@12") == ("digits", 12)
