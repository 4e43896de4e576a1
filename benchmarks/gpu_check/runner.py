"""All checks in turn, each in a process of its own: what it crashes, hangs or fails costs it alone."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_check.checks import Check
from benchmarks.gpu_check.result import Result, not_run
from benchmarks.harness.options import ROOT
from service.workers.child import signal_name

_LAST_WORDS = 300  # characters


@dataclass(frozen=True)
class Plan:
    """What is told to every check. `limit_s`: of all together."""

    repository: Path
    providers: tuple[str, ...]
    device: int = 0
    limit_s: float = 540.0
    seconds: float = 4.0
    cores: int = 16


@dataclass(frozen=True)
class Chapter:
    """One check's share of the report."""

    check: Check
    results: tuple[Result, ...]
    took_s: float

    @property
    def has_failed(self) -> bool:
        return any(result.verdict == "failed" for result in self.results)


@dataclass(frozen=True)
class Ended:
    """A process: what it printed, how it ended (None: it had to be killed), its last words."""

    stdout: str
    code: int | None
    stderr: str


Launch = Callable[[Sequence[str], float], Ended]


def run_all(
    checks: Iterable[Check],
    plan: Plan,
    launch: Launch | None = None,
    clock: Callable[[], float] = time.monotonic,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Chapter]:
    """Every check has a chapter, whatever happens to it."""
    began = clock()
    chapters = []
    for check in checks:
        left_s = plan.limit_s - (clock() - began)
        tell(check.title)
        start = clock()
        if left_s < 1:
            results: tuple[Result, ...] = (not_run(check.title, "the time was over"),)
        else:
            results = _run(check, plan, min(check.limit_s, left_s), launch or launched)
        chapters.append(Chapter(check, results, clock() - start))
    return chapters


def _run(check: Check, plan: Plan, limit_s: float, launch: Launch) -> tuple[Result, ...]:
    with tempfile.TemporaryDirectory(prefix="slipway-gpu-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "benchmarks.gpu_check.one", check.name]
        command += ["--folder", folder, "--repository", str(plan.repository)]
        for provider in plan.providers:
            command += ["--provider", provider]
        command += ["--device", str(plan.device), "--limit-s", str(limit_s)]
        command += ["--seconds", str(plan.seconds), "--cores", str(plan.cores)]
        ended = launch(command, limit_s)
    results = tuple(map(Result.from_json, ended.stdout.splitlines()))
    if ended.code is None:
        why = f"ended after {limit_s:.0f} s; what it had not found by then is missing"
        return (*results, Result(check.title, "failed", detail=why))
    if ended.code:
        words = ended.stderr.strip()[-_LAST_WORDS:]
        why = f"its process ended with {signal_name(ended.code)}: {words}"
        return (*results, Result(check.title, "failed", detail=why))
    return results or (Result(check.title, "failed", detail="it found nothing"),)


def launched(command: Sequence[str], limit_s: float) -> Ended:
    """In a process group of its own, so that its servers end with it."""
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=errors, start_new_session=True
        ) as process,
    ):
        code: int | None
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_family(process)
        out.seek(0)
        errors.seek(0)
        return Ended(out.read(), code, errors.read())


def _end_family(process: "subprocess.Popen[bytes]") -> None:
    """With the servers that it started, which lead sessions of their own."""
    import psutil

    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    process.wait()
    for child in family:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
