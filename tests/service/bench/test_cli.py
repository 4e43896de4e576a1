"""`slipway bench` as it is typed, against a server of a few lines."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import slipway
from tests.service.bench.fake_server import FakeServer, running

_SHORT = ("--duration-s", "0.2", "--warm-up-s", "0")


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running(FakeServer()) as server:
        yield server


def _bench(*arguments: str) -> int:
    return slipway.main(["bench", *arguments, *_SHORT])


def test_a_closed_loop_prints_a_column_per_concurrency(
    fake: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _bench(fake.url, "m", "--generate", "--concurrency", "1,2") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["concurrency", "1", "2"]
    assert all(row in out for row in ("first token, ms  p50", "output tokens/s", "between tokens"))
    assert lines[-1].split() == ["errors", "0", "0"]
    assert err == ""
    assert set(fake.paths) == {"/v1/completions"}


def test_an_open_loop_writes_its_figures_as_json(fake: FakeServer, tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    given = ("--generate", "--chat", "--rate", "50", "--json", str(target))
    assert _bench(f"{fake.url}/v1", "m", *given) == 0
    found = json.loads(target.read_text())
    assert (found["model"], found["generates"]) == ("m", True)
    [point] = found["points"]
    assert (point["rate"], point["concurrency"]) == (50.0, None)
    assert point["requests"] > 0
    assert point["errors"] == {}
    assert set(fake.paths) == {"/v1/chat/completions"}


def test_other_models_are_asked_through_their_typed_endpoint(
    fake: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--input", "[1, 2]", "--concurrency", "1", "--json", "-", "--header", "x-key: 1")
    assert _bench(fake.url, "m", *given) == 0
    assert json.loads(capsys.readouterr().out)["points"][0]["requests"] > 0
    assert set(fake.paths) == {"/v1/models/m", "/v1/models/m/predict"}
    assert fake.asked[-1]["inputs"] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["nowhere", "m", "--generate"], "write http://HOST:PORT"),
        (["http://127.0.0.1:99999", "m", "--generate"], "write http://HOST:PORT"),
        (["http://127.0.0.1:9", "m"], "name what to ask"),
        (["http://127.0.0.1:9", "m", "--generate", "--input", "x"], "--prompts"),
        (["http://127.0.0.1:9", "m", "--generate", "--concurrency", "1,x"], "--concurrency"),
        (["http://127.0.0.1:9", "m", "--generate", "--concurrency", "1.5"], "whole numbers"),
        (["http://127.0.0.1:9", "m", "--generate", "--rate", "0"], "--rate"),
        (["http://127.0.0.1:9", "m", "--generate", "--rate", "nan"], "--rate"),
        (["http://127.0.0.1:9", "m", "--generate", "--header", "x"], "NAME:VALUE"),
        (["http://127.0.0.1:9", "m", "--generate", "--output-tokens", "0"], "--output-tokens"),
        (["http://127.0.0.1:9", "m", "--generate", "--rate", "1", "--concurrency", "1"], "--rate"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    arguments: list[str], match: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert slipway.main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert match in error


def test_a_server_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with running(FakeServer()) as gone:
        pass
    assert _bench(gone.url, "m", "--generate") == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_ctrl_c_prints_what_it_has(fake: FakeServer) -> None:
    command = [sys.executable, "-m", "slipway", "bench", fake.url, "m", "--generate"]
    command += ["--concurrency", "1,2", "--duration-s", "600", "--warm-up-s", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert fake.is_loaded.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out.splitlines()[0].split() == ["concurrency", "1"]
    assert "interrupted" in err
