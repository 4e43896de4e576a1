"""`slipway serve`: every setting is an option, described by the same sentence.

Importing this module imports neither FastAPI nor a runtime.
"""

import argparse
from typing import Any, get_args

_EPILOG = """\
Every option can also be given in the environment: --max-body-bytes is SLIPWAY_MAX_BODY_BYTES. The command
line wins over the environment, which wins over the default.

examples:
  slipway serve                                  every model in models/repository, on port 8000
  slipway serve --model digits --port 0          one model, on a free port that is printed
  slipway serve --host 0.0.0.0 --isolation none  one process, reachable from the network
"""

_METAVARS = {"repository": "DIR", "host": "ADDRESS"}


def add_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add `serve` to the command line."""
    parser = commands.add_parser(
        "serve",
        help="serve the published models over HTTP",
        description="Serve published models: typed endpoints, V2 inference protocol, OpenAI "
        "completions, metrics; see /docs on the running server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser)
    parser.set_defaults(handler=_serve)


def _add_options(parser: argparse.ArgumentParser) -> None:
    from service.settings import Settings

    for name, field in Settings.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        default = field.get_default(call_default_factory=True)
        text = (field.description or "").replace("%", "%%")
        if isinstance(default, bool):
            on_off = argparse.BooleanOptionalAction
            parser.add_argument(
                flag, action=on_off, default=None, help=f"{text} (default: {default})"
            )
        elif isinstance(default, tuple):
            parser.add_argument(flag, action="append", metavar="NAME", default=None, help=text)
        else:
            shown = f"{text} (default: {default})"
            choices = get_args(field.annotation)
            metavar = f"{{{','.join(choices)}}}" if choices else _METAVARS.get(name, "N")
            parser.add_argument(flag, metavar=metavar, default=None, help=shown)


def _serve(arguments: argparse.Namespace) -> int:
    from service.server import serve
    from service.settings import Settings, load_settings

    given = {name: getattr(arguments, name) for name in Settings.model_fields}
    return serve(load_settings(**given))
