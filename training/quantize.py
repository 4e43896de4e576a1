"""Smaller graphs of an fp32 one that need no data: a table from a file's name to the function that writes it.

Used by `training.optimizing`, which measures what comes out, and by imports; nothing here promises accuracy.
Int8 of activations too is `training.optimizing.static` and `.dynamic`.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.quantization.shape_inference import quant_pre_process

from training import weight_only
from training.errors import ExportFailed
from training.graph_file import load_graph, remove_graph, save_graph
from training.predict import open_session

Quantizer = Callable[[Path, Path], None]

# Their results would turn into infinities or lose what they are for; ONNX Runtime's list, and norms.
_KEPT_IN_FP32 = ("LayerNormalization", "Softmax", "ReduceMean", "Pow")


def quantize(form: str, source: Path, target: Path) -> None:
    """Write the variant `form` of `source` to `target`. Raises ExportFailed with the reason."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with quiet():
            QUANTIZERS[form](source, target)
            open_session(target)
    except Exception as error:  # the quantizers raise any kind; the variant is dropped with a line
        remove_graph(target)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportFailed(reason[0]) from error


def prepare(source: Path, target: Path) -> None:
    """Constants folded, batch norms merged, shapes inferred, every node named: what quantisers expect."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.onnx"
        model = onnx.load(source)
        # The exporter's notes on inner shapes go stale when weights are transposed: infer them anew.
        del model.graph.value_info[:]
        onnx.save_model(model, bare)
        quant_pre_process(bare, target, skip_symbolic_shape=True)
    model = onnx.load(target)
    name_nodes(model.graph)
    onnx.save_model(model, target)


def name_nodes(graph: onnx.GraphProto) -> None:
    """Names are optional in ONNX, and quantisers tell nodes apart by them: whoever excludes one that has
    none excludes all such."""
    taken = {node.name for node in graph.node}
    seen: set[str] = {""}
    for number, node in enumerate(graph.node):
        if node.name in seen:
            node.name = f"{node.op_type}_{number}"
            while node.name in taken:
                node.name += "_"
            taken.add(node.name)
        seen.add(node.name)


def _weight_only(form: str) -> Quantizer:
    # Shapes stay as they are: those of the attention's kernel could not be inferred anew.
    return lambda source, target: weight_only.compress(form, source, target)


def _fp16(source: Path, target: Path) -> None:
    """Weights and arithmetic in float16; inputs and outputs keep their types, so callers see no change."""
    from onnxruntime.transformers.float16 import (
        DEFAULT_OP_BLOCK_LIST,
        convert_float_to_float16,
    )

    model = load_graph(source)
    converted = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_KEPT_IN_FP32]
    )
    save_graph(converted, target)


def _fp32_optimized(source: Path, target: Path) -> None:
    """What ONNX Runtime makes of the graph at every load, written down: constants folded, operators fused.

    Only changes that hold on every processor; the layout of memory is still chosen at load.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


QUANTIZERS: dict[str, Quantizer] = {
    "fp32-optimized": _fp32_optimized,
    "fp16": _fp16,
    **{form: _weight_only(form) for form in weight_only.BITS},
}


@contextmanager
def quiet() -> Iterator[None]:
    """The quantizer logs advice and tracebacks through the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        root.setLevel(level)
