"""`python -m benchmarks.scaling measure | simulate | page`: a pod, what follows from it, and its page.

    measure    a real server on this machine, about two minutes → benchmarks/results/scaling-measured.json
    simulate   minutes of one core → benchmarks/results/scaling.json, then the page
    page       the tables of docs/scaling.md from those two files

Exit code 0: done; 1: not measured, and why.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.failures import Interrupted, MeasurementFailed
from benchmarks.harness.options import ROOT
from benchmarks.harness.progress import Progress
from benchmarks.scaling.curve import Measured

RESULTS = ROOT / "benchmarks" / "results"
MEASURED, SIMULATED = RESULTS / "scaling-measured.json", RESULTS / "scaling.json"
PAGE = ROOT / "docs" / "scaling.md"


def main(given: list[str] | None = None) -> int:
    options = parse(given)
    if options.command == "measure":
        return _measure(options.seconds, options.rounds, options.out)
    if options.command == "simulate":
        _simulate(options.measured, options.out)
    if options.command == "page" or options.out == SIMULATED:
        _page()
    return 0


def parse(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description="Measure one pod, simulate many, write docs/scaling.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure", help="a real server on this machine")
    measure.add_argument(
        "--seconds", type=float, default=1.0, help="of one measurement (default: %(default)s)"
    )
    measure.add_argument("--rounds", type=int, default=3, help="of each (default: %(default)s)")
    measure.add_argument("--out", type=Path, default=MEASURED, help="default: %(default)s")
    simulate = commands.add_parser("simulate", help="what follows from it")
    simulate.add_argument("--measured", type=Path, default=MEASURED, help="default: %(default)s")
    simulate.add_argument("--out", type=Path, default=SIMULATED, help="default: %(default)s")
    commands.add_parser("page", help="the tables of docs/scaling.md")
    found = parser.parse_args(given)
    if found.command == "measure" and (found.seconds <= 0 or found.rounds < 1):
        parser.error("--seconds must be positive and --rounds at least 1")
    return found


def _measure(seconds: float, rounds: int, target: Path) -> int:
    from benchmarks.scaling.measure import SUBJECTS, measure

    with tempfile.TemporaryDirectory(prefix="slipway-scaling-") as folder:
        try:
            with Progress(len(SUBJECTS)) as progress:
                measured = measure(seconds, rounds, Path(folder), progress)
        except (Interrupted, MeasurementFailed) as reason:
            print(f"error: not measured: {reason}", file=sys.stderr)
            return 1
    measured.write(target)
    print(f"wrote {target}")
    return 0


def _simulate(source: Path, target: Path) -> None:
    from benchmarks.scaling.experiments import perform

    def say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    perform(Measured.read(source), say).write(target)
    print(f"wrote {target}")


def _page() -> None:
    from benchmarks.scaling.experiments import Simulated
    from benchmarks.scaling.page import filled

    measured, simulated = Measured.read(MEASURED), Simulated.read(SIMULATED)
    PAGE.write_text(filled(PAGE.read_text(), measured, simulated))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    sys.exit(main())
