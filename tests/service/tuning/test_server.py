"""Servers of trials: what they are told, what they leave behind, what is read of them in /proc."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from models.bundle import Bundle
from service.tuning import server as module
from service.tuning.server import (
    TrialFailed,
    command,
    family,
    last_words,
    proportional_bytes,
    trial_server,
)
from tests.service.bundles import digits_bundle
from tests.service.tuning.test_plan import plan_of


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return digits_bundle(tmp_path / "repository")


def stand_in(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program in the server's place; `sys.argv[1]` is the repository that it is given."""
    script = "import sys, time, os, subprocess\n" + textwrap.dedent(body)

    def started(repository: Path, *_: object) -> list[str]:
        return [sys.executable, "-c", script, str(repository)]

    monkeypatch.setattr(module, "command", started)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    limit = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < limit, "left behind"
        time.sleep(0.01)


def test_what_belongs_to_the_process_is_told_by_flags(bundle: Bundle) -> None:
    told = command(Path("somewhere"), bundle, plan_of(bundle, workers=2, threads=3), "cpu")
    flags = dict(zip(told[4::2], told[5::2], strict=False))
    assert told[1:4] == ["-m", "slipway", "serve"]
    assert flags["--workers"] == "2"
    assert flags["--threads"] == "6"
    assert flags["--port"] == "0"
    assert flags["--model"] == "digits"


def test_it_finds_the_version_and_the_plan_and_nothing_else(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch,
        """
        found = sorted(os.listdir(sys.argv[1] + "/digits"))
        same = os.path.samefile(sys.argv[1] + "/digits/1/manifest.json", "MANIFEST")
        print(os.listdir(sys.argv[1]), found, same, file=sys.stderr)
        sys.exit(1)
        """.replace("MANIFEST", str(bundle.path / "manifest.json")),
    )
    with (
        pytest.raises(TrialFailed, match=r"'1', 'tuning-1.json'\] True"),
        trial_server(bundle, plan_of(bundle), "cpu"),
    ):
        pass


def test_settings_for_other_servers_do_not_reach_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_MAX_BATCH_SIZE", "3")
    monkeypatch.setenv("UNRELATED", "kept")
    stand_in(
        monkeypatch,
        """
        print("ERROR", os.environ.get("SLIPWAY_MAX_BATCH_SIZE"), os.environ["UNRELATED"], file=sys.stderr)
        """,
    )
    with (
        pytest.raises(TrialFailed, match="None kept"),
        trial_server(bundle, plan_of(bundle), "cpu"),
    ):
        pass


def test_everything_that_it_started_ends_with_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a worker that does not listen, whose server was killed."""
    stand_in(
        monkeypatch,
        """
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
        worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        worker.stdout.readline()
        print("INFO serving at http://127.0.0.1:1", file=sys.stderr, flush=True)
        time.sleep(60)
        """,
    )
    with trial_server(bundle, plan_of(bundle), "cpu") as server:
        everyone = family(server.pid)
        assert len(everyone) == 2
        assert server.memory_bytes() > 1 << 20
        assert server.target.port == 1
    for pid in everyone:
        wait_until_gone(pid)


def test_an_interruption_ends_it_too(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch,
        """
        print("INFO serving at http://127.0.0.1:1", file=sys.stderr, flush=True)
        time.sleep(60)
        """,
    )
    pids: list[int] = []

    def interrupted() -> None:
        with trial_server(bundle, plan_of(bundle), "cpu") as server:
            pids.append(server.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    wait_until_gone(pids[0])


def test_one_that_never_answers_is_given_up(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_START_S", 0.3)
    stand_in(monkeypatch, "time.sleep(60)")
    with (
        pytest.raises(TrialFailed, match="not ready within"),
        trial_server(bundle, plan_of(bundle), "cpu"),
    ):
        pass


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("INFO a\nWARNING its exam failed\nerror: model cannot be served", "its exam failed"),
        ("ERROR first\nERROR second\nINFO stopped\n", "second"),
        ("error: no such option", "no such option"),
        ("", "it ended without a word"),
    ],
)
def test_last_words_are_the_telling_ones(log: str, words: str) -> None:
    assert last_words(log) == words


def test_a_family_is_a_process_and_its_descendants(tmp_path: Path) -> None:
    for pid, parent in ((10, 1), (11, 10), (12, 11), (13, 1), (14, 10)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a (b) c) S {parent} 0 0")
    assert sorted(family(10, tmp_path)) == [10, 11, 12, 14]


def test_shared_pages_are_counted_in_proportion(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps_rollup").write_text(
        "head\nRss:  900 kB\nPss:  300 kB\nPss_Anon: 1 kB\n"
    )
    assert proportional_bytes(7, tmp_path) == 300 << 10
    assert proportional_bytes(8, tmp_path) == 0
    assert proportional_bytes(os.getpid()) > 1 << 20


def test_the_program_is_found_as_the_user_started_it() -> None:
    """`python -m slipway` works from wherever `slipway tune` was started."""
    done = subprocess.run([sys.executable, "-m", "slipway", "tune", "--help"], capture_output=True)
    assert done.returncode == 0
    assert b"--slo" in done.stdout
