"""What is published is checked as it is; an empty repository is filled, or told with the remedy."""

from pathlib import Path

import pytest

from benchmarks.gpu_check.repository import SMALL, NoBundles, prepared
from benchmarks.gpu_check.workplace import Workplace
from tests.service import graphs as tiny


def test_what_is_published_is_checked_as_it_is(workplace: Workplace, tmp_path: Path) -> None:
    for _ in range(2):
        tiny.doubler().publish(workplace.repository, "m", tmp_path)
    repository, found = prepared(workplace.repository, tmp_path / "spare", train=pytest.fail)
    assert repository == workplace.repository
    assert [(one.name, one.version) for one in found] == [("m", 2)]


def test_an_empty_repository_is_filled_by_training(tmp_path: Path) -> None:
    trained: list[str] = []

    def train(recipe: str, repository: Path) -> str:
        trained.append(recipe)
        if recipe == "digits":
            tiny.doubler().publish(repository, recipe, tmp_path)
        return "" if recipe == "digits" else "no data"

    spare, found = prepared(tmp_path / "empty", tmp_path / "spare", train=train)
    assert trained == list(SMALL)
    assert spare == tmp_path / "spare"
    assert [one.name for one in found] == ["digits"]


def test_nothing_to_check_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoBundles, match="digits: no space"):
        prepared(tmp_path / "empty", tmp_path / "spare", train=lambda *_: "no space")
    monkeypatch.setattr("benchmarks.gpu_check.repository.find_spec", lambda _: None)
    with pytest.raises(NoBundles, match=r"--repository.*install \.\[train\]"):
        prepared(tmp_path / "empty", tmp_path / "spare")
