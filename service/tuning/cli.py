"""`slipway tune`: the best way to run a model on this machine, for so many callers and so long a wait.

Importing this module imports neither a runtime nor the load generator.
"""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from models.catalog import default_repository, find_bundle
from models.errors import UsageError

if TYPE_CHECKING:
    from service.tuning.tuning import Order

_EPILOG = """\
What happens
  Every way of running the model that its bundle and this machine allow is served by a real server and
  loaded over HTTP: variant × runtime × workers and threads × batch size × delay × length buckets. Not the
  whole product: choices are compared briefly and the better half again, then the best is changed in one
  respect at a time, and at last the finalists take turns. The choice is written beside the bundle, as
  REPOSITORY/MODEL/tuning-VERSION.json, and is used by every server that loads that version on this kind of
  machine from then on. Nothing else should run meanwhile.

What is wanted
  without --slo   the most answers per second
  with --slo      the most answers per second at a load at which that share of the callers has its answer
                  within so many milliseconds: --slo p99_ms=50, p95_ms=… or p50_ms=…
  A load at which requests are refused counts for nothing.

exit codes: 0 written; 3 the limit cannot be kept here (the nearest is printed, nothing is written);
130 interrupted (the best so far is printed, nothing is written); 1 nothing could be served, or the time
did not suffice to look at every choice (nothing is written); 2 usage

examples:
  slipway tune digits --slo p99_ms=5
  slipway tune sentences --slo p95_ms=40 --concurrency 1,8,32 --time-s 300
  slipway tune digits --input docs/examples/seven.png --all --plot tuning.png
  slipway tune digits --dry-run      what would be searched
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `tune` to the command line."""
    parser = commands.add_parser(
        "tune",
        help="find the fastest way to run a model on this machine, within a limit of waiting",
        description="Search runtime, precision, threads, batching and lengths under real load, print what "
        "they trade against each other, and write the best as a file beside the model's bundle.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="name of a published model")
    parser.add_argument(
        "--slo", metavar="P=MS", help="what callers are to wait at most, such as p99_ms=50"
    )
    parser.add_argument(
        "--concurrency",
        default="1,4,16",
        metavar="N,N…",
        help="callers at the same time, each waits for its answer (default: 1,4,16)",
    )
    parser.add_argument(
        "--time-s", type=float, default=180.0, metavar="S", help="for everything (default: 180)"
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="INPUT",
        help="a file or a text to ask about, as in `slipway predict` (repeatable: sent in turn); "
        "default: texts of mixed length, or the model's own examples",
    )
    parser.add_argument(
        "--repository", type=Path, default=None, metavar="DIR", help="default: models/repository"
    )
    parser.add_argument("--version", type=int, metavar="N", help="default: the newest")
    parser.add_argument(
        "--runtime",
        default="auto",
        metavar="NAME",
        help="search this runtime alone (default: auto)",
    )
    parser.add_argument(
        "--provider",
        default="cpu",
        choices=("cpu", "cuda", "tensorrt"),
        help="where to compute (default: cpu)",
    )
    _add_output(parser)
    parser.set_defaults(handler=_tune)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be searched; measure nothing"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="print every measured row, not the best compromises alone",
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures there too; - for stdout")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw them there (PNG; needs the train extra)"
    )


def _tune(arguments: argparse.Namespace) -> int:
    from service.tuning.tuning import prepare, run

    order = _order(arguments)
    bundle = find_bundle(
        arguments.repository or default_repository(), arguments.model, arguments.version
    )
    tuning = prepare(bundle, order)
    for line in tuning.intentions():
        print(line, file=sys.stderr)
    if arguments.dry_run:
        return 0
    with _ends_on_signals():
        result = run(tuning, lambda line: print(line, file=sys.stderr, flush=True))
    if arguments.json:
        _write_json(arguments.json, result.document())
    if arguments.json != "-":
        print(result.text(everything=arguments.all))
    if arguments.plot:
        from service.tuning.plot import draw

        draw(result.rows, arguments.plot, str(result.objective))
    return result.exit_code


def _order(arguments: argparse.Namespace) -> "Order":
    """Raises UsageError."""
    from models.runtimes import known
    from service.tuning.objective import Objective, Slo
    from service.tuning.tuning import Order

    if not 5 <= arguments.time_s <= 86_400:
        raise UsageError(f"--time-s {arguments.time_s:g}: expected 5 to 86400 seconds")
    names = ["auto", *(info.name for info in known())]
    if arguments.runtime not in names:
        raise UsageError(f"--runtime {arguments.runtime!r}: known: {', '.join(names)}")
    return Order(
        objective=Objective(None if arguments.slo is None else Slo.parse(arguments.slo)),
        concurrency=callers(arguments.concurrency),
        time_s=arguments.time_s,
        inputs=tuple(arguments.input),
        runtime=arguments.runtime,
        provider=arguments.provider,
    )


def callers(typed: str) -> tuple[int, ...]:
    """`1,8,32`, ascending and each once. Raises UsageError."""
    try:
        found = sorted({int(part) for part in typed.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1 or found[-1] > 1024 or len(found) > 8:
        raise UsageError(
            f"--concurrency {typed!r}: write up to eight numbers of callers from 1 to 1024, separated by "
            "commas"
        )
    return tuple(found)


@contextmanager
def _ends_on_signals() -> Iterator[None]:
    """A server of a trial must not be left behind: what would end this program at once interrupts it."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signals call it
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a script's `&` starts programs
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_json(name: str, document: dict[str, object]) -> None:
    import orjson

    text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    if name == "-":
        print(text)
        return
    try:
        Path(name).write_text(text + "\n")
    except OSError as error:
        raise UsageError(f"--json {name} cannot be written: {error.strerror}") from error
