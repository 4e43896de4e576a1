"""`make gpu-check`, or `python -m benchmarks.gpu_check`: what an NVIDIA GPU does for this server.

Exit code 0: every check passed; 1: at least one failed; 2: a wrong command line; 3: nothing was checked,
because this machine cannot: the reasons are on stderr.
"""

import argparse
import math
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.gpu_check.checks import CHECKS
from benchmarks.gpu_check.prerequisites import Machine, look
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.repository import NoBundles, prepared
from benchmarks.gpu_check.runner import Launch, Plan, run_all
from benchmarks.harness.options import ROOT
from models.catalog import default_repository
from models.cgroup import usable_cores

CANNOT = 3


def main(
    given: list[str] | None = None,
    look_at: Callable[[], Machine] = look,
    launch: Launch | None = None,
) -> int:
    options = _parse(given)
    machine = look_at()
    if machine.reasons:
        return _cannot(list(machine.reasons))
    if all(gpu.number != options.device for gpu in machine.gpus):
        return _cannot([f"there is no GPU {options.device}"])
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slipway-gpu-") as spare:
        try:
            repository, bundles = prepared(options.repository, Path(spare), _tell)
        except NoBundles as reason:
            return _cannot([str(reason)])
        plan = Plan(
            repository.resolve(),
            machine.providers,
            device=options.device,
            limit_s=options.limit_s - (time.monotonic() - began),
            seconds=options.seconds,
            cores=max(1, math.floor(usable_cores())),
        )
        checks = [
            check for name, check in CHECKS.items() if not options.only or name in options.only
        ]
        chapters = run_all(checks, plan, launch, tell=_tell)
    report = Report.of(
        machine,
        chapters,
        command=shlex.join(("python", "-m", "benchmarks.gpu_check", *_words(given))),
        took_s=time.monotonic() - began,
        checkout=ROOT,
        bundles=len(bundles),
    )
    print(report.markdown())
    for path in report.write(options.results):
        _tell(f"written to {path}")
    return 1 if report.has_failed else 0


def _cannot(reasons: list[str]) -> int:
    print("error: no GPU was checked, and no report is written:", file=sys.stderr)
    for reason in reasons:
        print(f"  - {reason}", file=sys.stderr)
    return CANNOT


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _words(given: list[str] | None) -> list[str]:
    return sys.argv[1:] if given is None else given


def _parse(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description="Check the server on an NVIDIA GPU and write a report.",
        epilog="exit codes: 0 passed, 1 failed, 2 wrong command line, 3 this machine cannot",
    )
    parser.add_argument("--only", action="append", choices=sorted(CHECKS), default=[],
                        help="this check (repeatable)")  # fmt: skip
    parser.add_argument("--repository", type=Path, default=default_repository(),
                        help="bundles to check; where there are none, three small models are trained "
                        "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--device", type=int, default=0, help="number of the GPU (default: 0)")
    parser.add_argument("--seconds", type=float, default=4.0,
                        help="length of one measurement of speed (default: %(default)s)")  # fmt: skip
    parser.add_argument("--limit-s", type=float, default=540.0,
                        help="no check goes on after so many seconds (default: %(default)s)")  # fmt: skip
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results",
                        help="folder for the report (default: %(default)s)")  # fmt: skip
    found = parser.parse_args(given)
    if found.seconds <= 0 or found.limit_s <= 0:
        parser.error("--seconds and --limit-s must be positive")
    return found


if __name__ == "__main__":
    sys.exit(main())
