"""`make bench`, or `python -m benchmarks [--only NAME …]`: measures this server on this machine.

Exit code 0: measured (whether or not targets are met: the report says); 1: stopped early.
"""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.graphs.language_model import SIZES
from benchmarks.harness.options import Options
from benchmarks.harness.progress import Progress
from benchmarks.run import run
from benchmarks.scenarios import SCENARIOS


def main(given: list[str] | None = None) -> int:
    options = parse(given)
    # Servers run in sessions of their own: killed without a word, the benchmark would leave them behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [one for one in SCENARIOS if not options.only or one.name in options.only]
    with Progress(len(chosen)) as progress:
        report = run(options, chosen, progress)
    Console().print(Markdown(report.markdown()))
    print(f"written to {options.results}/report.md and report.json", file=sys.stderr)
    return 1 if report.stopped else 0


def parse(given: list[str] | None) -> Options:
    default = Options()
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the server on this machine."
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=default.seconds,
        help="length of one measurement; slow models get half as much again (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=default.rounds, help="of each (default: %(default)s)"
    )
    parser.add_argument(
        "--only", action="append", choices=names, default=[], help="this scenario (repeatable)"
    )
    parser.add_argument(
        "--checkout",
        type=Path,
        default=default.checkout,
        help="measure the server of another working tree of this repository",
    )
    parser.add_argument(
        "--results", type=Path, default=default.results, help="folder for report and pictures"
    )
    parser.add_argument(
        "--limit-s",
        type=float,
        default=default.limit_s,
        help="no new measurement begins after so many seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--decoder",
        choices=sorted(SIZES),
        default=default.decoder,
        help="of the generation scenarios; tiny proves that they run and nothing else "
        "(default: %(default)s)",
    )
    found = parser.parse_args(given)
    if found.seconds <= 0 or found.rounds < 1:
        parser.error("--seconds must be positive and --rounds at least 1")
    return Options(
        seconds=found.seconds,
        rounds=found.rounds,
        checkout=found.checkout.resolve(),
        results=found.results.resolve(),
        limit_s=found.limit_s,
        decoder=found.decoder,
        only=tuple(found.only),
        command=("python", "-m", "benchmarks", *(sys.argv[1:] if given is None else given)),
    )


if __name__ == "__main__":
    sys.exit(main())
