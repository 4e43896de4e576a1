"""`slipway predict`: ask a model one question, with or without a running server.

Importing this module imports neither a runtime nor Pillow.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from models.catalog import default_repository
from models.errors import UsageError
from models.naming import is_version, require_name

if TYPE_CHECKING:
    from service.tasks.base import ServiceTask

_EPILOG = """\
INPUT is a file, - for standard input, or (for models that read text) the text itself.

examples:
  slipway predict digits docs/examples/seven.png --top-k 3
  slipway predict language-id "Var ligger järnvägsstationen?"
  slipway predict pycode-gpt "def read_" --max-tokens 40 --seed 1
  slipway predict digits-vae 3 --seed 4 --output three.png
  slipway predict digits seven.png --url http://127.0.0.1:8000 --json
"""

# Options of the tasks that deserve a flag of their own; `--option` reaches every other one.
_FLAGS: tuple[tuple[str, str, str], ...] = (
    ("top_k", "N", "how many labels; for text: sample from the N likeliest tokens"),
    ("max_tokens", "N", "longest answer"),
    ("temperature", "T", "0 always takes the likeliest token"),
    ("top_p", "P", "sample from the likeliest tokens with this much mass"),
    ("seed", "N", "same seed, same answer"),
    ("size", "WxH", "size of a drawn picture in pixels"),
)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `predict` to the command line."""
    parser = commands.add_parser(
        "predict",
        help="ask a model one question",
        description="Ask a published model one question and print a readable answer.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="name of the model")
    parser.add_argument("input", metavar="INPUT", help="a file, text, or - for standard input")
    parser.add_argument(
        "--url", metavar="URL", help="ask this server; without it the model is loaded here"
    )
    parser.add_argument(
        "--repository",
        type=Path,
        default=default_repository(),
        metavar="DIR",
        help="folder of <name>/<version>/ (default: %(default)s)",
    )
    parser.add_argument("--version", metavar="V", help="version (default: the newest)")
    parser.add_argument("--json", action="store_true", help="print the raw answer")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where a drawn picture goes")
    for name, metavar, text in _FLAGS:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    parser.add_argument(
        "--stop", action="append", metavar="TEXT", help="end the answer before TEXT (repeatable)"
    )
    parser.add_argument(
        "--truncate", action="store_const", const=True, help="cut a text that is too long"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other option of the model's task (repeatable)",
    )
    parser.set_defaults(handler=_predict)


def _predict(arguments: argparse.Namespace) -> int:
    # The runtime, Pillow and the tokenizers are loaded only when something is really asked.
    from service.ask.question import Question, read_options, read_question
    from service.ask.render import render, save_picture

    name = require_name(arguments.model)
    version = _version(arguments.version)
    names = [*(flag for flag, _, _ in _FLAGS), "stop", "truncate"]
    options = read_options({n: getattr(arguments, n) for n in names}, arguments.option)
    questions: list[Question] = []

    def read(task: "type[ServiceTask]") -> Question:
        questions.append(read_question(arguments.input, task, options))
        return questions[-1]

    if arguments.url is not None:
        from service.ask.remote import ask_remote

        reply = ask_remote(arguments.url, name, version, read)
    else:
        from models.catalog import find_bundle
        from service.ask.local import ask_local

        reply = ask_local(find_bundle(arguments.repository, name, version), read)
    if not arguments.json:
        print(render(reply, questions[-1].asked, arguments.output))
        return 0
    print(json.dumps(reply.body, indent=2, ensure_ascii=False))
    pictures = [p for p in reply.predictions if "image" in p]
    if arguments.output is not None and pictures:
        save_picture(pictures[0], arguments.output)
    return 0


def _version(typed: str | None) -> int | None:
    if typed is None:
        return None
    if not is_version(typed):
        raise UsageError(
            f"--version {typed!r} is not a version number; `slipway models` lists them"
        )
    return int(typed)
