"""What was chosen is found again by the same question alone; damage costs a warning and the time."""

import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.selection.cache import Question, SelectionCache
from service.selection.choice import Choice
from tests.service.selection.fakes import BASE, FAST, FASTER

QUESTION = Question("machine", "bundle", "2 workers", (BASE, FAST))
CHOSEN = FAST.because("it is fast")


def test_an_answer_is_found_again(tmp_path: Path) -> None:
    cache = SelectionCache(tmp_path / "made" / "by it")
    assert cache.get(QUESTION) is None
    cache.put(QUESTION, CHOSEN, {"trials": []})
    assert SelectionCache(tmp_path / "made" / "by it").get(QUESTION) == CHOSEN
    cache.forget(QUESTION)
    assert cache.get(QUESTION) is None


@pytest.mark.parametrize(
    "other",
    [
        Question("another machine", "bundle", "2 workers", (BASE, FAST)),
        Question("machine", "another bundle", "2 workers", (BASE, FAST)),
        Question("machine", "bundle", "1 worker", (BASE, FAST)),
        Question("machine", "bundle", "2 workers", (BASE, FAST, FASTER)),
    ],
)
def test_another_question_has_another_answer(other: Question, tmp_path: Path) -> None:
    cache = SelectionCache(tmp_path)
    cache.put(QUESTION, CHOSEN, {})
    assert cache.get(other) is None


def _other_choice(body: dict[str, object]) -> object:
    return {**body, "choice": FASTER.to_json()}


def _other_question(body: dict[str, object]) -> object:
    return {**body, "question": {}}


@pytest.mark.parametrize(
    "damaged",
    [
        lambda body: body["choice"],
        lambda body: [body],
        lambda _: None,
        lambda body: {**body, "choice": {"runtime": 7}},
        _other_choice,
        _other_question,
    ],
)
def test_a_damaged_entry_is_ignored_with_one_warning(
    damaged: Callable[[dict[str, object]], object],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = SelectionCache(tmp_path)
    cache.put(QUESTION, CHOSEN, {})
    file = tmp_path / QUESTION.name
    file.write_text(json.dumps(damaged(json.loads(file.read_text()))))
    assert cache.get(QUESTION) is None
    file.write_bytes(b"\x00\xff{" + os.urandom(64))
    assert cache.get(QUESTION) is None
    assert len(caplog.records) == 2
    assert "is ignored" in caplog.text
    cache.put(QUESTION, CHOSEN, {})
    assert cache.get(QUESTION) == CHOSEN


def test_a_place_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    cache = SelectionCache(blocked / "folder")
    for _ in range(3):
        cache.put(QUESTION, CHOSEN, {})
        assert cache.get(QUESTION) is None
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert "--selection-cache" in caplog.text


def test_servers_that_share_a_folder_never_see_half_an_entry(tmp_path: Path) -> None:
    choices: list[Choice] = [BASE.because("x" * 5000), FAST.because("y")]

    def write(turn: int) -> Choice | None:
        cache = SelectionCache(tmp_path)
        cache.put(QUESTION, choices[turn % 2], {})
        return cache.get(QUESTION)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(write, range(200))) <= set(choices)
    assert [file.name for file in tmp_path.iterdir()] == [QUESTION.name]
