"""`slipway train` and `slipway recipes`. Importing this module imports neither torch nor a recipe."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from models.catalog import default_repository
from models.errors import UsageError
from models.tables import aligned
from training import recipes

if TYPE_CHECKING:
    from training.pipeline import Request

_TRAIN_EPILOG = """\
examples:
  slipway train digits                                   the recipe as it is
  slipway train digits --name fruit --data photos.tar.gz --epochs 20
  slipway train digits --set optim.learning_rate=0.002 --set width=48
  slipway train digits --folds 5                         also cross-validate it
  slipway train digits --resume                          go on after Ctrl-C
  torchrun --nproc-per-node 2 -m slipway train language-model    in two processes

`slipway train RECIPE --list-settings` prints every key that --set takes.
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `train` and `recipes` to the command line."""
    _add_train(commands)
    parser = commands.add_parser(
        "recipes",
        help="list what can be trained",
        description="List every recipe: name, modality, expected time, the data it needs, summary.",
    )
    parser.set_defaults(handler=_list_recipes)


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "train",
        help="train a model, check it and publish it",
        description="Train a model by a recipe, evaluate it, export it to ONNX, verify the export, "
        "try quantised variants and publish the bundle. A failed gate publishes nothing.",
        epilog=_TRAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("recipe", metavar="RECIPE", help="one of `slipway recipes`")
    add("--data", type=Path, metavar="PATH", help="your own data instead of the recipe's")
    add("--name", help="the model's name in the repository (default: the recipe's name)")
    add("--epochs", help="passes over the training data")
    add(
        "--pretrained",
        metavar="PATH_OR_ID",
        help="start from this checkpoint: its folder, or an id in its library's cache",
    )
    add("--folds", help="also cross-validate with so many folds (default: 0, do not)")
    add("--device", metavar="auto|cpu|cuda", help="where to train (default: auto)")
    add("--seed", help="seed of weights, shuffling and splits (default: 0)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="change one setting; may be repeated",
    )
    add(
        "--repository",
        type=Path,
        default=default_repository(),
        metavar="DIR",
        help="where to publish (default: %(default)s)",
    )
    add(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="checkpoints (default: runs)"
    )
    add("--resume", action="store_true", help="go on with the interrupted run of this name")
    add("--list-settings", action="store_true", help="print the recipe's settings and leave")
    parser.set_defaults(handler=_train)


def _train(arguments: argparse.Namespace) -> int:
    recipe = recipes.get(arguments.recipe)
    if arguments.list_settings:
        return _list_settings(recipe)
    calm_openmp()
    from training.distributed import world
    from training.pipeline import follow, run
    from training.report import Reporter

    if world().is_first:
        run(request_of(arguments), Reporter())
    else:
        follow(request_of(arguments))
    return 0


def calm_openmp() -> None:
    """To be called before torch is loaded, when OpenMP reads it.

    Its threads else spin for their turn so long that one busy neighbour on two cores makes a step 3.4 times
    as slow instead of 2.4; alone it costs nothing.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def request_of(arguments: argparse.Namespace) -> "Request":
    """The flags as one request. Raises UsageError for what the recipe does not take."""
    from training.pipeline import Request

    recipe = recipes.get(arguments.recipe)
    given = _flags(arguments, recipe)
    return Request(
        recipe=recipe.name,
        data=arguments.data,
        settings=(*given, *arguments.settings),
        repository=arguments.repository,
        runs=arguments.runs,
        resume=arguments.resume,
    )


def _flags(arguments: argparse.Namespace, recipe: recipes.Recipe) -> list[str]:
    """Flags as the `key=value` they stand for. Raises UsageError for what the recipe does not take."""
    from training.settings import settable

    keys = ("name", "epochs", "device", "seed", "folds")
    given = [
        f"{key}={getattr(arguments, key)}" for key in keys if getattr(arguments, key) is not None
    ]
    if arguments.pretrained is None:
        return given
    if "pretrained.source" not in dict(settable(type(recipe.build_config()))):
        raise UsageError(
            f"--pretrained: recipe {recipe.name!r} trains a network of its own and takes no "
            "checkpoint; `slipway recipes` lists the others"
        )
    return [*given, f"pretrained.source={arguments.pretrained}"]


def _list_settings(recipe: recipes.Recipe) -> int:
    from training.settings import expected, settable

    config = recipe.build_config()
    values = config.model_dump()
    rows = []
    for key, field in settable(type(config)):
        value: object = values
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else value
        rows.append((f"{key}={value}", expected(field), field.description or ""))
    print(aligned(rows[0], rows[1:]))
    return 0


def _list_recipes(_: argparse.Namespace) -> int:
    rows = [("NAME", "MODALITY", "TIME", "SUMMARY", "DATA")]
    for recipe in recipes.known():
        time = f"{recipe.expected_time_s} s"
        rows.append((recipe.name, recipe.modality, time, recipe.summary, recipe.data))
    print(aligned(rows[0], rows[1:]))
    print("\ntimes are for 2 CPU cores; train one with `slipway train NAME`")
    return 0
