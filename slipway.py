"""The command line: one program, both sides. The only module that knows training and service.

Each side registers its own commands through a light `add_commands`; what a command needs (torch,
onnxruntime) is imported when it runs, so `slipway --help` is quick and a serving image needs no torch.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from models.errors import SlipwayError, UsageError

_EPILOG = """\
from nothing to an answer:
  slipway train digits              train, check and publish a model
  slipway predict digits seven.png  ask it, without a server
  slipway serve                     serve every published model over HTTP
  slipway bench URL digits --input seven.png   measure what its callers feel
"""

# In the order of a model's life, which is also the order of `slipway --help`.
_COMMANDS = (
    "training.cli",
    "training.importing.cli",
    "training.optimizing.cli",
    "models.cli",
    "models.doctor",
    "models.fetch",
    "service.importing.cli",
    "service.tuning.cli",
    "service.cli",
    "service.predict_cli",
    "service.bench.cli",
)


class _Parser(argparse.ArgumentParser):
    """argparse whose mistakes travel the one error tree: one line, the remedy, exit 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="slipway",
        description="Train deep-learning models, publish them as ONNX bundles, serve them over HTTP.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for module in _COMMANDS:
        if _is_installed(module):
            importlib.import_module(module).add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Expected failures print one line, never a traceback."""
    try:
        parsed = build_parser().parse_args(arguments)
        code: int = parsed.handler(parsed)
    except SlipwayError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        return _missing_extra(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has gone; Python would complain again while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _is_installed(module: str) -> bool:
    """A serving image may leave training out, and the other way round."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _missing_extra(error: ModuleNotFoundError) -> int:
    """Name the extra that brings a missing package; anything else is a defect and stays loud."""
    package = (error.name or "").partition(".")[0]
    extras = {
        "onnxruntime": "cpu] or .[gpu",
        "torch": "train",
        "lightning": "train",
        "onnx": "train",
    }
    extras |= {"babel": "train", "sklearn": "train", "matplotlib": "train", "onnxscript": "train"}
    extras |= {"transformers": "train", "sentence_transformers": "train", "safetensors": "train"}
    if package not in extras:
        raise error
    print(f"error: this command needs {package}: pip install .[{extras[package]}]", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
