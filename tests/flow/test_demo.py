"""The demo's first half: what is missing is trained, and a failure ends it with the run's own code."""

from pathlib import Path

import pytest

from docs.examples import demo
from docs.examples.demo_models import DEMO, DemoModel


def test_every_missing_model_is_trained_and_its_run_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(model: DemoModel, repository: Path) -> tuple[int, str]:
        assert repository == tmp_path
        return 0, f"{model.recipe} has learned"

    monkeypatch.setattr(demo, "_train", train)
    demo.train_missing(tmp_path)
    shown = capsys.readouterr().out
    for model in DEMO:
        assert shown.count(f"{model.recipe} has learned") == 1
    assert f"{len(DEMO)} of {len(DEMO)}: " in shown


def test_a_run_that_fails_ends_the_demo_with_its_code_and_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(model: DemoModel, _: Path) -> tuple[int, str]:
        return (3, "error: below its floor") if model == DEMO[2] else (0, "fine")

    monkeypatch.setattr(demo, "_train", train)
    with pytest.raises(SystemExit) as ended:
        demo.train_missing(tmp_path)
    assert ended.value.code == 3
    assert "error: below its floor" in capsys.readouterr().out
