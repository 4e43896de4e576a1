"""Every check has its chapter, whatever happens to it, and the report names all of them."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.gpu_check.__main__ import CANNOT, main
from benchmarks.gpu_check.checks import CHECKS, Check
from benchmarks.gpu_check.prerequisites import Machine
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.result import Result, at_least, at_most, judged, not_run
from benchmarks.gpu_check.runner import Chapter, Ended, Plan, launched, run_all
from tests.benchmarks.gpu_check.test_prerequisites import H200
from tests.service import graphs

MACHINE = Machine((H200,), ("cuda", "tensorrt"), (), ("a note",))
PLAN = Plan(Path("/models"), ("cuda", "tensorrt"), device=1, limit_s=100.0)


def check(name: str, limit_s: float = 30.0) -> Check:
    return Check(name, f"The {name} check", f"{name}:run", limit_s)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Launcher:
    """Ends each check as it is told to; a check takes 40 seconds."""

    def __init__(self, clock: Clock, **ends: Ended) -> None:
        self.clock, self.ends = clock, ends
        self.commands: list[Sequence[str]] = []
        self.limits: list[float] = []

    def __call__(self, command: Sequence[str], limit_s: float) -> Ended:
        self.commands.append(command)
        self.limits.append(limit_s)
        self.clock.now += min(40.0, limit_s)
        return self.ends[command[3]]


FINE = Ended(judged("it", True).to_json() + "\n", 0, "")


def test_a_crash_a_hang_and_silence_cost_their_own_check_alone() -> None:
    clock = Clock()
    half = judged("first half", True).to_json() + "\n"
    launcher = Launcher(
        clock,
        crash=Ended(half, -11, "…terminate called"),
        hang=Ended(half, None, ""),
        silent=Ended("", 0, ""),
        fine=FINE,
    )
    plan = Plan(Path("/models"), ("cuda",), limit_s=1000.0)
    names = ("crash", "hang", "silent", "fine")
    chapters = run_all([check(name) for name in names], plan, launcher, clock)
    assert [chapter.has_failed for chapter in chapters] == [True, True, True, False]
    crash, hang, silent, fine = (chapter.results for chapter in chapters)
    assert [result.verdict for result in crash] == ["passed", "failed"]
    assert "SIGSEGV: …terminate called" in crash[1].detail
    assert "ended after 30 s" in hang[1].detail
    assert "found nothing" in silent[0].detail
    assert fine == (judged("it", True),)
    assert chapters[0].took_s == 30.0


def test_what_does_not_fit_into_the_time_is_named_and_not_run() -> None:
    clock = Clock()
    launcher = Launcher(clock, one=FINE, two=FINE, three=FINE, four=FINE)
    checks = [check(name, 40.0) for name in ("one", "two", "three", "four")]
    chapters = run_all(checks, PLAN, launcher, clock)
    assert launcher.limits == [40.0, 40.0, 20.0]
    assert chapters[3].results == (not_run("The four check", "the time was over"),)


def test_a_check_is_told_where_it_works_and_on_what() -> None:
    clock = Clock()
    launcher = Launcher(clock, one=FINE)
    run_all([check("one")], PLAN, launcher, clock)
    [command] = launcher.commands
    assert command[1:4] == ["-m", "benchmarks.gpu_check.one", "one"]
    text = " ".join(command)
    assert "--repository /models --provider cuda --provider tensorrt --device 1" in text
    folder = Path(command[command.index("--folder") + 1])
    assert not folder.exists(), "what a check leaves behind goes with it"


def test_a_real_process_is_ended_with_what_it_had_said() -> None:
    program = "import time; print('said', flush=True); time.sleep(600)"
    began = time.monotonic()
    ended = launched([sys.executable, "-c", program], 3.0)
    assert (ended.stdout, ended.code) == ("said\n", None)
    assert time.monotonic() - began < 60
    ended = launched([sys.executable, "-c", "import sys; sys.exit('why')"], 60.0)
    assert (ended.stdout, ended.code, ended.stderr) == ("", 1, "why\n")


def test_all_checks_can_be_loaded_and_fit_into_ten_minutes() -> None:
    assert len(CHECKS) == 8
    for one in CHECKS.values():
        assert callable(one.load())
    assert sum(one.limit_s for one in CHECKS.values()) <= 540


# -- results ---------------------------------------------------------------------------------------


def test_results_cross_as_they_are() -> None:
    for result in (
        at_least("a", 0.95, 0.9, "×", "detail"),
        at_most("b", float("nan"), 1.0),
        not_run("c", "why"),
    ):
        text = result.to_json()
        json.loads(text)
        found = Result.from_json(text)
        assert (found.what, found.verdict, found.detail) == (
            result.what,
            result.verdict,
            result.detail,
        )


def test_figures_are_judged_against_their_limits() -> None:
    assert [at_least("a", figure, 0.9).verdict for figure in (0.9, 0.89)] == ["passed", "failed"]
    assert [at_most("a", figure, 2.0).verdict for figure in (2.0, 2.1)] == ["passed", "failed"]
    assert at_most("a", float("nan"), 2.0).verdict == "failed"
    assert at_least("a", 1.0, 0.9, "×").target == "≥ 0.9 ×"


# -- the report ------------------------------------------------------------------------------------


def a_report(*results: Result) -> Report:
    chapters = [Chapter(check("one"), results, 12.0), Chapter(check("two"), (), 1.0)]
    return Report.of(
        MACHINE, chapters, command="make", took_s=90.0, checkout=Path("/nowhere"), bundles=3
    )


def test_the_report_lists_every_result_and_the_conditions(tmp_path: Path) -> None:
    report = a_report(
        at_least("speed", 0.85, 0.9, "×", "a | b\nc"),
        not_run("other", "no time"),
        judged("x", True),
    )
    markdown, data = report.write(tmp_path / "new")
    text = markdown.read_text()
    assert "| speed | **failed** | 0.85 × | ≥ 0.9 × | a ∣ b c |" in text
    assert "| other | not run |  |  | no time |" in text
    assert "1 passed, 1 failed, 0 measured, 1 not run." in text
    assert "NVIDIA H200, 140 GiB, driver 580.1" in text
    assert "## The two check" in text
    assert "- a note" in text
    plain = json.loads(data.read_text())
    assert [result["what"] for result in plain["chapters"][0]["results"]] == ["speed", "other", "x"]
    assert report.has_failed


def test_what_was_not_run_is_no_failure() -> None:
    assert not a_report(not_run("other", "no time"), judged("x", True)).has_failed


# -- the command -----------------------------------------------------------------------------------


def nothing(_: Sequence[str], __: float) -> Ended:
    raise AssertionError("no check may run")


def test_without_a_gpu_nothing_runs_and_the_exit_code_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    machine = Machine((), (), ("no driver here", "a build without CUDA"))
    assert main(["--results", str(tmp_path)], lambda: machine, nothing) == CANNOT == 3
    said = capsys.readouterr().err
    assert "no GPU was checked, and no report is written" in said
    assert "- no driver here\n  - a build without CUDA" in said
    assert list(tmp_path.iterdir()) == []


def test_this_very_machine_is_looked_at_honestly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi, wherever this runs
    assert main(["--results", str(tmp_path)], launch=nothing) == CANNOT
    assert "nvidia-smi is not installed" in capsys.readouterr().err


def test_a_gpu_of_another_number_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "4"], lambda: MACHINE, nothing) == CANNOT
    assert "there is no GPU 4" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_wrong_command_line_has_a_code_of_its_own(limit: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--limit-s", limit], lambda: MACHINE, nothing)
    assert ended.value.code == 2


def test_the_checks_that_were_asked_for_run_and_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graphs.doubler().publish(tmp_path / "repository", "m", tmp_path)
    names: list[str] = []

    def launch(command: Sequence[str], _: float) -> Ended:
        names.append(command[3])
        passed = command[3] != "mixed"
        return Ended(judged(command[3], passed).to_json() + "\n", 0, "")

    given = ["--repository", str(tmp_path / "repository"), "--results", str(tmp_path / "results")]
    assert main([*given, "--only", "parity"], lambda: MACHINE, launch) == 0
    assert main([*given, "--only", "parity", "--only", "mixed"], lambda: MACHINE, launch) == 1
    assert names == ["parity", "parity", "mixed"]
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "gpu-check.json",
        "gpu-check.md",
    ]
    assert "## One server, models on CPU and GPU" in capsys.readouterr().out
