"""`slipway bench`: load a running server's model over HTTP and print what its callers would feel.

Importing this module imports neither a runtime nor the load generator.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UsageError

if TYPE_CHECKING:
    from service.bench.loops import Work
    from service.bench.run import Plan
    from service.bench.target import Target

_EPILOG = """\
Which loop?
  --concurrency  closed loop: so many callers, each sends its next request when it has its answer. Shows
                 what the server can do. Several numbers are measured one after the other.
  --rate         open loop: requests per second arrive at random moments (Poisson) whether or not answers
                 come, as callers in the outside world do. Shows what waiting costs; choose rates below and
                 above what --concurrency found. Latencies count from the moment a request was meant to
                 be sent, and requests without an answer half a minute later are errors (unfinished).

What the rows mean
  first token    from sending (open loop: from the intended moment) to the first text that came back
  between tokens gaps between two events with text of one answer; usually an event is a token
  whole answer   to the end of the answer
  of these cached  prompt tokens that the server had read before and did not compute again
  sent late      how late this program was; more than a few ms means that it was the bottleneck, not the
                 server: spread the load over several machines

examples:
  slipway bench http://127.0.0.1:8000 pycode-gpt --generate
  slipway bench http://127.0.0.1:8000 pycode-gpt --generate --concurrency 1,4,16 --output-tokens 16-48
  slipway bench http://127.0.0.1:8000 chat --generate --chat --rate 2 --duration-s 60 --json chat.json
  slipway bench http://127.0.0.1:8000 pycode-gpt --generate --prompts prompts.txt --may-stop
  slipway bench http://127.0.0.1:8000 digits --input docs/examples/seven.png --concurrency 1,16,64

--generate works with any server of OpenAI's streaming completions; add --may-stop where ignore_eos is
refused. Ctrl-C ends the load and prints what was measured until then.
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `bench` to the command line."""
    parser = commands.add_parser(
        "bench",
        help="load a running server and measure what callers feel",
        description="Load one model of a running server over HTTP, in a closed or an open loop, and print "
        "rates and latencies. Run it on another machine than the server's where absolute figures matter.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="the server, such as http://127.0.0.1:8000")
    parser.add_argument("model", metavar="MODEL", help="name of the model")
    _add_load(parser)
    _add_generation(parser)
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="INPUT",
        help="without --generate: a file or a text to ask about, as in `slipway predict` (repeatable: "
        "sent in turn)",
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="sent with every request, such as 'authorization: Bearer KEY' (repeatable)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there too; - for stdout")
    parser.set_defaults(handler=_bench)


def _add_load(parser: argparse.ArgumentParser) -> None:
    load = parser.add_mutually_exclusive_group()
    load.add_argument(
        "--concurrency", metavar="N,N…", help="callers at the same time (default: 1,4,16)"
    )
    load.add_argument("--rate", metavar="R,R…", help="arrivals per second")
    parser.add_argument(
        "--duration-s", type=float, default=10.0, metavar="S", help="of each load (default: 10)"
    )
    parser.add_argument(
        "--warm-up-s",
        type=float,
        default=1.0,
        metavar="S",
        help="before anything counts (default: 1)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of prompts, lengths and arrivals (default: 0)",
    )


def _add_generation(parser: argparse.ArgumentParser) -> None:
    texts = parser.add_argument_group("text generation")
    texts.add_argument(
        "--generate", action="store_true", help="stream texts: time to first token, gaps, tokens/s"
    )
    texts.add_argument(
        "--prompt-tokens",
        default="128",
        metavar="N|LOW-HIGH",
        help="length of made-up prompts (default: 128)",
    )
    texts.add_argument(
        "--output-tokens",
        default="64",
        metavar="N|LOW-HIGH",
        help="length of answers (default: 64)",
    )
    texts.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help='instead of made-up ones: a prompt per line, or JSON lines with "prompt" or "messages" and '
        "further members such as max_tokens",
    )
    texts.add_argument("--chat", action="store_true", help="as chats instead of completions")
    texts.add_argument(
        "--temperature", type=float, default=1.0, metavar="T", help="0 is greedy (default: 1)"
    )
    texts.add_argument(
        "--may-stop",
        action="store_true",
        help="answers end where the model ends them; without, ignore_eos asks for the full length",
    )


def _bench(arguments: argparse.Namespace) -> int:
    # The event loop, the parser and the bar are loaded only when something is really measured.
    import orjson

    from service.ask.call import RemoteRefused
    from service.bench.report import document, table
    from service.bench.run import run
    from service.bench.target import Target

    target = Target.of(arguments.url, _headers(arguments.header))
    plan = _plan(arguments)
    try:
        points = run(_work(arguments, target), plan)
    except OSError as error:
        raise RemoteRefused(f"{target.url} cannot be reached: {error.strerror or error}") from error
    about = {"url": target.url, "model": arguments.model, "generates": arguments.generate}
    if arguments.json:
        text = orjson.dumps(document(points, about), option=orjson.OPT_INDENT_2).decode()
        _write(arguments.json, text)
    if arguments.json != "-":
        print(table(points, generates=arguments.generate))
    was_interrupted = points[-1].was_interrupted
    if was_interrupted:
        print("interrupted: the figures are those until then", file=sys.stderr)
    return 130 if was_interrupted else 0


def _plan(arguments: argparse.Namespace) -> "Plan":
    from service.bench.loops import Timing
    from service.bench.run import Plan

    if arguments.duration_s <= 0 or arguments.warm_up_s < 0:
        raise UsageError("--duration-s must be positive and --warm-up-s not negative")
    timing = Timing(arguments.duration_s, arguments.warm_up_s)
    if arguments.rate is not None:
        return Plan((), _numbers(arguments.rate, "--rate"), timing, arguments.seed)
    typed = "1,4,16" if arguments.concurrency is None else arguments.concurrency
    counts = _numbers(typed, "--concurrency")
    if any(count != int(count) for count in counts):
        raise UsageError(f"--concurrency {typed!r}: callers are whole numbers")
    return Plan([int(count) for count in counts], (), timing, arguments.seed)


def _work(arguments: argparse.Namespace, target: "Target") -> "Work":
    from service.bench.answers import StreamReader, WholeReader
    from service.bench.loops import Work

    if arguments.generate:
        if arguments.input:
            raise UsageError("--input is for models that predict; with --generate use --prompts")
        return Work(target, _generation(arguments, target), StreamReader)
    if not arguments.input:
        raise UsageError("name what to ask: --generate for texts, or --input FILE for other models")
    from service.bench.predicting import predictions

    requests = predictions(target, arguments.model, arguments.input)
    return Work(target, requests, lambda _: WholeReader())


def _generation(arguments: argparse.Namespace, target: "Target") -> Iterator[bytes]:
    from service.bench.asking import Generation, Lengths, read_prompts

    generation = Generation(
        model=arguments.model,
        prompt_tokens=Lengths.parse(arguments.prompt_tokens, "--prompt-tokens"),
        output_tokens=Lengths.parse(arguments.output_tokens, "--output-tokens"),
        is_chat=arguments.chat,
        may_stop=arguments.may_stop,
        temperature=arguments.temperature,
        seed=arguments.seed,
    )
    given = read_prompts(arguments.prompts) if arguments.prompts is not None else []
    return generation.messages(target, given)


def _numbers(typed: str, flag: str) -> list[float]:
    try:
        found = [float(part) for part in typed.split(",")]
    except ValueError:
        found = []
    if not found or any(not 0 < number < 1e6 for number in found):
        raise UsageError(f"{flag} {typed!r}: write positive numbers, separated by commas")
    return found


def _headers(typed: list[str]) -> dict[str, str]:
    headers = {}
    for line in typed:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or any(sign in line for sign in "\r\n"):
            raise UsageError(f"--header {line!r}: write NAME:VALUE")
        headers[name.strip().lower()] = value.strip()
    return headers


def _write(name: str, text: str) -> None:
    if name == "-":
        print(text)
        return
    try:
        Path(name).write_text(text + "\n")
    except OSError as error:
        raise UsageError(f"--json {name} cannot be written: {error.strerror}") from error
