"""`slipway optimize`. Importing this module imports neither torch nor a runtime."""

import argparse
import os
from pathlib import Path

from models.catalog import default_repository
from models.errors import UsageError
from models.naming import is_name, is_version

_INTRODUCTION = """\
Make variants of a published model that run faster, judge each on the model's own test split through the
runtime that will serve it, and publish those that are worth it with the model as its next version.

A variant stays when it is within the accuracy budget and smaller or faster than the reference. All that were
tried stand in the table, with the reason where one was dropped. The reference is never changed, nor is any
published version; Ctrl-C leaves nothing behind.
"""

_EPILOG = """\
targets are RUNTIME:PRECISION, on the CPU, or RUNTIME:PRECISION@PROVIDER:
{targets}

what a loss is measured against (the budget):
  --points    a main metric that is a share (accuracy, F1, recall) may lose so much: 0.005 is half a point
  --relative  any other main metric (bits, decibels) may lose this part of itself
  --cosine    vectors must keep their direction: least mean cosine with the reference's

what judges:
  A model that `slipway train` made is judged on the test split of its recipe, and calibrated on its
  validation split; both are read again and must be what they were then. Data of your own must be named with
  --data.
  An imported model has no data. With --data it is judged on them: texts or pictures for embeddings, labelled
  ones for classifiers. Without, only settings of runtimes are tried, whose answers must keep their direction;
  --calibration FILE.npz gives real rows to compare on.

examples:
  slipway optimize digits                                      everything that may do some good
  slipway optimize digits@3 --targets onnxruntime:int8-static,openvino:bf16
  slipway optimize fruit --data photos.tar.gz --points 0.01
  slipway optimize minilm --data sentences.txt                 an imported encoder
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `optimize` to the command line."""
    from training.optimizing.targets import TARGETS

    width = max(map(len, TARGETS))
    listed = "\n".join(f"  {name:<{width}}  {one.summary}" for name, one in TARGETS.items())
    parser = commands.add_parser(
        "optimize",
        help="make faster variants of a published model and keep those within an accuracy budget",
        description=_INTRODUCTION,
        epilog=_EPILOG.format(targets=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL[@VERSION]", help="a published model; its newest version by default")
    add("--targets", metavar="T,T", help="what to try (default: all that may do some good here)")
    add("--quick", action="store_true",
        help="what training tries: one calibrator, no layers left alone")  # fmt: skip
    add("--points", type=float, metavar="X", help="default: what it was trained with, or 0.005")
    add("--relative", type=float, metavar="X", help="default: what it was trained with, or 0.01")
    add("--cosine", type=float, metavar="X", help="default: what it was trained with, or 0.999")
    add("--data", type=Path, metavar="PATH", help="the data it was trained on, if they were yours; or "
        "data to judge an imported model on")  # fmt: skip
    add("--calibration", type=Path, metavar="FILE.npz", help="imported models: rows, an array for each "
        "graph input")  # fmt: skip
    add("--repository", type=Path, default=default_repository(), metavar="DIR",
        help="where the model is, and where the next version goes (default: %(default)s)")  # fmt: skip
    parser.set_defaults(handler=_optimize)


def _optimize(arguments: argparse.Namespace) -> int:
    name, version = named_version(arguments.model)
    limits = {key: getattr(arguments, key) for key in ("points", "relative", "cosine")}
    for key, value in limits.items():
        if value is not None and not -1 <= value <= 1:
            raise UsageError(f"--{key} {value:g}: expected a number from 0 to 1, e.g. 0.005")
    wanted = _split(arguments.targets)
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as `slipway train` says
    from training.optimizing.command import Request, optimize
    from training.report import Reporter

    request = Request(
        model=name,
        version=version,
        repository=arguments.repository,
        targets=wanted,
        data=arguments.data,
        calibration=arguments.calibration,
        is_quick=arguments.quick,
        **limits,
    )
    optimize(request, Reporter())
    return 0


def named_version(text: str) -> tuple[str, int | None]:
    """`digits@3` → ("digits", 3); without a version: the newest. Raises UsageError."""
    name, at, version = text.partition("@")
    if not is_name(name) or (at and not is_version(version)):
        raise UsageError(f"{text!r} names no model: expected MODEL or MODEL@VERSION, e.g. digits@3")
    return name, int(version) if at else None


def _split(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    from training.optimizing.targets import named

    return tuple(target.name for target in named([part.strip() for part in text.split(",")]))
