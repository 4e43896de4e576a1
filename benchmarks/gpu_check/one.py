"""One check in a process of its own: `python -m benchmarks.gpu_check.one NAME …`.

Every result is a line of JSON on stdout as soon as it is known, so that a check that crashes or is ended has
said what it had found. Anything else that is printed goes to stderr.
"""

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import TextIO, get_args

from benchmarks.gpu_check.checks import CHECKS
from benchmarks.gpu_check.result import Result
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.harness.failures import MeasurementFailed, NotAvailable
from models.runtimes.base import Provider


def main(given: list[str] | None = None, out: TextIO | None = None) -> int:
    """0 whatever was found; what a check raises becomes its last result."""
    name, workplace = _parse(given)
    lines = out or _results_only()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            for result in CHECKS[name].load()(workplace):
                print(result.to_json(), file=lines, flush=True)
    except NotAvailable as reason:
        _tell(lines, Result(CHECKS[name].title, "not run", detail=str(reason)))
    except MeasurementFailed as failure:
        _tell(lines, Result(CHECKS[name].title, "failed", detail=str(failure)))
    except Exception as error:  # the report names it; the other checks go on
        text = f"{type(error).__name__}: {error}"
        _tell(lines, Result(CHECKS[name].title, "failed", detail=text[:500]))
    return 0


def _tell(lines: TextIO, result: Result) -> None:
    print(result.to_json(), file=lines, flush=True)


def _results_only() -> TextIO:
    """Stdout for results; what libraries write to its descriptor goes to stderr."""
    kept = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return kept


def _parse(given: list[str] | None) -> tuple[str, Workplace]:
    parser = argparse.ArgumentParser(description="Internal: one check of `make gpu-check`.")
    parser.add_argument("name", choices=sorted(CHECKS))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--provider", action="append", choices=get_args(Provider), required=True)
    parser.add_argument("--device", type=int, required=True)
    parser.add_argument("--limit-s", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--cores", type=int, required=True)
    found = parser.parse_args(given)
    return found.name, Workplace(
        folder=found.folder,
        repository=found.repository,
        providers=tuple(found.provider),
        device=found.device,
        limit_s=found.limit_s,
        seconds=found.seconds,
        cores=found.cores,
    )


if __name__ == "__main__":
    sys.exit(main())
