"""`slipway import-onnx`: serve a graph that Slipway did not train.

Importing this module imports no runtime.
"""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from models.catalog import default_repository
from models.errors import UsageError

if TYPE_CHECKING:
    from models.manifest import TensorSpec
    from service.importing.importer import Imported

_EPILOG = """\
What is derived: names, types and shapes of inputs and outputs; whether axis 0 is a batch, which is tried
by changing rows and by asking one row alone; a golden exam from a run on seeded values, which every server
replays before the model may answer. Weights in files beside FILE are copied in.

What no file says, and you must: labels; for pictures --mean and --std (and --size, if any size is taken);
for texts the tokenizer. Without --task the model takes and gives plain tensors.

examples:
  slipway import-onnx mlp.onnx --name mlp
  slipway import-onnx resnet18.onnx --name resnet --task image-classification --labels imagenet.txt \\
      --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --fit crop
  slipway import-onnx sst2.onnx --name sentiment --task text-classification --labels labels.txt \\
      --tokenizer tokenizer.json --max-tokens 256
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `import-onnx` to the command line."""
    parser = commands.add_parser(
        "import-onnx",
        help="publish an ONNX file from elsewhere",
        description="Derive what a server must know about an ONNX file, try it, and publish it as the "
        "next version of a model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "file", type=Path, metavar="FILE", help="the .onnx file; its external weights lie beside it"
    )
    add(
        "--name",
        required=True,
        metavar="N",
        help="the model's name: letters, digits, '.', '_', '-'",
    )
    add("--repository", type=Path, default=default_repository(), metavar="DIR",
        help="folder of <name>/<version>/ (default: %(default)s)")  # fmt: skip
    add("--task", default="tensor", metavar="T",
        help="tensor (default), image-classification or text-classification")  # fmt: skip
    add("--labels", type=Path, metavar="F", help="text file, one label a line in class order")
    add("--tokenizer", type=Path, metavar="F", help="tokenizer.json of the tokenizers library")
    add("--max-tokens", type=int, default=0, metavar="N", help="longest text (default: 512)")
    add(
        "--mean",
        default="0",
        metavar="M,…",
        help="per channel, subtracted after scaling (default: 0)",
    )
    add("--std", default="1", metavar="S,…", help="per channel, divides afterwards (default: 1)")
    add("--scale", type=float, default=1 / 255, metavar="X",
        help="multiplies the 0-255 pixel before mean and std (default: 1/255)")  # fmt: skip
    add("--size", metavar="WxH", help="pixels, for graphs that take any size")
    add("--channel-order", choices=("RGB", "BGR", "L"), default="RGB", help="default: %(default)s")
    add("--fit", choices=("stretch", "crop", "pad"), default="stretch",
        help="how a picture of other proportions is made to fit (default: %(default)s)")  # fmt: skip
    add("--max-batch-size", type=int, default=0, metavar="N",
        help="rows in one run where axis 0 is free (default: 32)")  # fmt: skip
    add("--sample", type=Path, metavar="F",
        help=".npz with an array per input (three rows or more), for graphs that do not take made-up "
        "values")  # fmt: skip
    add("--description", default="", metavar="TEXT", help="one line for people")
    parser.set_defaults(handler=_import)


def _import(arguments: argparse.Namespace) -> int:
    # The runtime is loaded only when something is really imported.
    from service.importing.draft import ImportOptions
    from service.importing.importer import import_onnx

    if arguments.max_batch_size < 0 or arguments.max_tokens < 0:
        raise UsageError("--max-batch-size and --max-tokens are positive numbers")
    options = ImportOptions(
        name=arguments.name,
        task=arguments.task,
        labels=arguments.labels,
        tokenizer=arguments.tokenizer,
        sample=arguments.sample,
        mean=_numbers("--mean", arguments.mean),
        std=_numbers("--std", arguments.std),
        scale=arguments.scale,
        size=_size(arguments.size),
        channel_order=arguments.channel_order,
        fit=arguments.fit,
        max_tokens=arguments.max_tokens,
        max_batch_size=arguments.max_batch_size,
        description=arguments.description,
    )
    print(summary(import_onnx(arguments.file, arguments.repository, options)))
    return 0


def summary(imported: "Imported") -> str:
    """What was derived, and what could not be."""
    bundle, facts = imported.bundle, imported.facts
    manifest = bundle.manifest
    rows: list[tuple[str, ...]] = []
    for side, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
        rows += [(side, spec.name, *_type(spec)) for spec in specs]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"published {bundle.name} version {bundle.version}", ""]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    opset = facts.opsets.get("", facts.opsets.get("ai.onnx", 0))
    lines += [
        "",
        f"task    {manifest.task}",
        f"batch   {_batch(imported)}",
        f"exam    {'a run on seeded values' if imported.derived.golden else 'none'}",
        f"graph   opset {opset}, IR {facts.ir_version}"
        + (f", by {facts.producer}" * bool(facts.producer)),
    ]
    lines += [f"note    {note}" for note in imported.derived.notes]
    return "\n".join([*lines, "", f"serve it: slipway serve --model {bundle.name}"])


def _type(spec: "TensorSpec") -> tuple[str, str]:
    from models.datatypes import BY_ONNX

    return BY_ONNX[spec.dtype.value].v2, f"[{', '.join(map(str, spec.shape))}]"


def _batch(imported: "Imported") -> str:
    manifest = imported.bundle.manifest
    most = manifest.batching.max_batch_size
    if manifest.inputs[0].batch_axis is None:
        return "none: one request, one run"
    if manifest.batching.allowed_batch_sizes:
        return (
            f"axis 0, always {most} rows (fewer are filled up)"
            if most > 1
            else "axis 0, one row a run"
        )
    return f"axis 0, up to {most} rows a run; rows were tried and do not influence each other"


def _numbers(flag: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{flag} {text!r}: write numbers separated by commas") from None


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", text)
    if match is None or not int(match[1]) or not int(match[2]):
        raise UsageError(f"--size {text!r}: write width and height in pixels, such as 224x224")
    return int(match[1]), int(match[2])
