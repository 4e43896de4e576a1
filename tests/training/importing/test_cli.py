"""`slipway import-hf` explains itself, and mistakes cost one line and no library."""

import subprocess
import sys
from pathlib import Path

import pytest

import slipway
from training.importing.kinds import KINDS

ROOT = Path(__file__).parents[3]


def test_help_names_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        slipway.main(["import-hf", "--help"])
    text = " ".join(capsys.readouterr().out.replace("-\n", "-").split()).replace("- ", "-")
    for entry in KINDS:
        assert entry.task in text
    assert "nothing is downloaded" in text


def test_the_command_line_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, slipway; slipway.build_parser(); "
        "sys.exit(bool({'torch', 'transformers', 'onnxruntime'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["someone/some-model"], "nothing is downloaded"),
        (["someone/some-model", "--name", "a/b"], "not allowed"),
        (["someone/some-model", "--max-batch-size", "-1"], "positive numbers"),
        (["someone/some-model", "--parity-atol", "0"], "positive numbers"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # restored afterwards: the command sets both
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    place = ["--repository", str(tmp_path / "repository")]
    assert slipway.main(["import-hf", *arguments, *place]) == 2
    errors = capsys.readouterr().err
    assert complaint in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "repository").exists()
