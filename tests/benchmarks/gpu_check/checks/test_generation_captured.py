"""Captured steps must write the same words and pay; the hosts are real, the device is the CPU."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.gpu_check.checks import generation_captured
from benchmarks.gpu_check.checks.generation_captured import Ways, captured
from models.bundle import Bundle
from service.workers.host import ModelHost
from service.workers.options import HostOptions
from tests.service.generation.conftest import TinyModel, tiny
from tests.service.generation.test_host import publish_tiny

__all__ = ["tiny"]


@pytest.fixture
def writer(tiny: TinyModel, tmp_path: Path) -> Bundle:
    return publish_tiny(tiny, tmp_path)


@pytest.fixture
def hosts(writer: Bundle) -> Iterator[tuple[ModelHost, ModelHost]]:
    with (
        closing(ModelHost(HostOptions(1))) as plain,
        closing(ModelHost(HostOptions(1))) as second,
    ):
        plain.load(1, writer)
        second.load(1, writer)
        yield plain, second


def test_words_are_compared_and_every_number_of_rows_has_a_gain(
    hosts: tuple[ModelHost, ModelHost],
) -> None:
    words, *gains = Ways("tiny/1", *hosts, rounds=1).compared()
    assert (words.verdict, words.figure) == ("passed", 1.0)
    assert [gain.what for gain in gains] == [
        "tiny/1: 1 at once, captured ÷ plain",
        "tiny/1: 8 at once, captured ÷ plain",
    ]
    for gain in gains:
        assert gain.figure
        assert (gain.verdict == "passed") == (gain.figure >= 1)


def test_other_words_and_slower_steps_fail(
    hosts: tuple[ModelHost, ModelHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, second = hosts
    words = {id(plain): [1, 2, 3, 4], id(second): [1, 2, 9, 4]}
    rates = {id(plain): 100.0, id(second): 80.0}
    monkeypatch.setattr(generation_captured, "written", lambda host, _: [words[id(host)]])
    monkeypatch.setattr(generation_captured, "rate_of", lambda host, _: rates[id(host)])
    found = list(Ways("tiny/1", plain, second).compared())
    assert [result.verdict for result in found] == ["failed"] * 3
    assert [result.figure for result in found] == [0.5, 0.8, 0.8]


def test_a_model_that_captures_nothing_is_not_compared(writer: Bundle) -> None:
    [result] = captured(writer, "cpu", 0)
    assert result.verdict == "not run"
    assert "the model says: nothing" in result.detail
