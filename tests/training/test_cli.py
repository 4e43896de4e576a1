"""`slipway train` and `slipway recipes` as a person meets them: codes, lines, no traceback."""

from pathlib import Path

import pytest

import slipway
from training import recipes


def shell(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = slipway.main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_recipes_lists_each_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = shell(capsys, "recipes")
    assert code == 0
    for recipe in recipes.known():
        (line,) = [line for line in out.splitlines() if line.startswith(f"{recipe.name} ")]
        assert recipe.summary in line
        assert f"{recipe.expected_time_s} s" in line
        assert recipe.modality in line


def test_settings_can_be_listed_with_their_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = shell(capsys, "train", "digits", "--list-settings")
    assert code == 0
    assert "optim.learning_rate=" in out
    assert "a number > 0" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "known recipes are digits"),
        (["digits", "--epochs", "many"], "epochs=many: expected a whole number"),
        (["digits", "--set", "epcohs=3"], "did you mean epochs?"),
        (["digits", "--epochs", "3", "--set", "epochs=4"], "more than once"),
        (["digits", "--device", "tpu"], "expected one of auto, cpu, cuda"),
        (["digits", "--name", "../up"], "matching"),
        (["digits", "--data", "no-such-folder"], "no such file or folder"),
        (["digits", "--resume"], "nothing to resume"),
        (["digits", "--nonsense"], "--nonsense"),
        (["digits-vae", "--pretrained", "x"], "takes no checkpoint"),
        (["text-lstm", "--pretrained", "x"], "set network=pretrained"),
        (["digits", "--pretrained", "no-such-folder"], "no-such-folder"),
        (["digits", "--folds", "1"], "0 or at least 2"),
        (["digits", "--folds", "many"], "folds=many: expected a whole number"),
        (["digits-vae", "--folds", "3"], "cannot be cross-validated"),
        (["digits", "--device", "cpu", "--set", "precision=fp16"], "bf16 or fp32 on a CPU"),
        ([], "RECIPE"),
    ],
)
def test_a_mistake_is_one_line_and_code_2_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = shell(capsys, "train", *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_an_undecodable_picture_is_named_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train/a/1.png", "train/a/2.png", "train/b/1.png", "train/b/2.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"not a picture")
    code, _, err = shell(capsys, "train", "digits", "--data", "data")
    assert code == 2
    assert "class" in err or "train/a/1.png" in err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
