"""Weights in int4 or int8, activations as they are: the only quantisation that a decoder may have.

Used by `training.quantize`. A dynamically quantised graph measures one scale over the whole batch, so one
caller's tokens would change another's; here every weight has its scale, fixed, and rows stay independent.

What becomes what:
    matrices      blocks of 32 along the input, each with scale and zero point (MatMulNBits), rounded to
                  nearest. k-quant, HQQ and scales without zero point were tried on a trained decoder of
                  2M weights: with each of them, bits per token grow by 0.14 to 0.17 %
    output head   int8 in both: it decides between tokens directly, and its error is not averaged away
    embedding     int8, blocks of 32, looked up as it lies (GatherBlockQuantized). A head that was tied to
                  it becomes a matrix of its own
    norms, biases, positions, rotary tables: untouched

`accuracy_level` 4 lets the kernel round activations to int8, per row and block. 0 computes on unpacked
floats: with 8 bits that is twenty times slower. Both tie a row's result to the row alone.

Memory: the graph, its copy, and one matrix in between.
"""

import logging
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from training.graph_file import load_graph, save_graph

BITS = {"int8-weight-only": 8, "int4-weight-only": 4}
_BLOCK = 32
_ACCURACY_LEVEL = 4
_HEAD_BITS = 8
_ZERO_POINT = 128  # what 8-bit lookup subtracts when it is told nothing else


def compress(precision: str, source: Path, target: Path) -> None:
    """Write the weight-only variant of a decoder's graph. Whatever the quantiser raises goes through."""
    model = load_graph(source)
    _fold_transposed(model.graph)
    matrices = [node.name for node in model.graph.node if _is_matrix(model.graph, node)]
    bits = BITS[precision]
    head = matrices[-1:]  # nodes stand in order, and logits come last
    model = _blockwise(model, {name: _HEAD_BITS if name in head else bits for name in matrices})
    _compress_embeddings(model.graph)
    _drop_unused(model.graph)
    save_graph(model, target)


def _is_matrix(graph: GraphProto, node: NodeProto) -> bool:
    return node.op_type == "MatMul" and node.input[1] in _weights(graph)


def _weights(graph: GraphProto) -> dict[str, Any]:
    return {weight.name: weight for weight in graph.initializer}


def _fold_transposed(graph: GraphProto) -> None:
    """A tied head reads the embedding through a Transpose, which the quantiser does not look through."""
    weights = _weights(graph)
    for node in [n for n in graph.node if n.op_type == "Transpose" and n.input[0] in weights]:
        order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
        turned = numpy_helper.to_array(weights[node.input[0]]).transpose(order)
        graph.initializer.append(
            numpy_helper.from_array(np.ascontiguousarray(turned), node.output[0])
        )
        graph.node.remove(node)


def _blockwise(model: ModelProto, bits: dict[str, int]) -> ModelProto:
    """`bits`: of every node to be quantised."""
    nbits = _quantizers()
    for width in sorted(set(bits.values())):
        algorithm = nbits.DefaultWeightOnlyQuantConfig(
            bits=width, block_size=_BLOCK, is_symmetric=False, accuracy_level=_ACCURACY_LEVEL
        )
        others = [name for name in bits if bits[name] != width]
        quantizer = nbits.MatMulNBitsQuantizer(
            model, nodes_to_exclude=others, algo_config=algorithm
        )
        quantizer.process()
        model = quantizer.model.model
    return model


def _quantizers() -> ModuleType:
    """Importing them sets the root logger up; and they log a line for every node."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    from onnxruntime.quantization import matmul_nbits_quantizer

    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("onnxruntime.quantization").setLevel(logging.ERROR)
    matmul_nbits_quantizer.logger.setLevel(logging.ERROR)
    return cast(ModuleType, matmul_nbits_quantizer)


def _compress_embeddings(graph: GraphProto) -> None:
    """Tables of token vectors, float32 [V, D], that are looked up by `ids`."""
    weights = _weights(graph)
    for node in graph.node:
        table = weights.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or node.input[1] != "ids" or table.dims[1] % _BLOCK:
            continue
        rounded, scales = _int8_rows(numpy_helper.to_array(table))
        name = f"{table.name}.int8"
        graph.initializer.append(numpy_helper.from_array(rounded, name))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scales"))
        lookup = helper.make_node(
            "GatherBlockQuantized",
            [name, node.input[1], f"{name}.scales"],
            list(node.output),
            name=f"{node.name}.int8",
            domain="com.microsoft",
            bits=8,
            block_size=_BLOCK,
            gather_axis=0,
            quantize_axis=1,
        )
        node.CopyFrom(lookup)


def _int8_rows(table: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rounded to nearest around 128, and the scale [V, D/32] of every block."""
    blocks = table.astype(np.float32).reshape(len(table), -1, _BLOCK)
    scales = np.abs(blocks).max(axis=2) / 127
    safe = np.where(scales == 0, 1, scales).astype(np.float32)
    rounded = np.rint(blocks / safe[..., np.newaxis]) + _ZERO_POINT
    return rounded.astype(np.uint8).reshape(table.shape), safe


def _drop_unused(graph: GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for weight in [weight for weight in graph.initializer if weight.name not in used]:
        graph.initializer.remove(weight)
