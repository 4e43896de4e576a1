"""`make bench`: every benchmark in turn, figures to `benchmarks/results/` and tables to the terminal."""

import sys
from pathlib import Path

from benchmarks import fastlane

_RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str]) -> int:
    """Run all; further arguments go to each, e.g. `--seconds 1 --rounds 1`."""
    _RESULTS.mkdir(exist_ok=True)
    return fastlane.main([*arguments, "--json", str(_RESULTS / "fastlane.json")])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
