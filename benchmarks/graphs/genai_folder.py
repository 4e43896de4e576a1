"""The slot graph dressed for onnxruntime-genai: the same weights and kernels under its loop.

It wants an attention mask instead of lengths, logits with three axes, and a folder with its configuration:
https://onnxruntime.ai/docs/genai/reference/config.html

Its Generator is content with the logits of every prompt's last token, its Engine insists on those of all:
one folder for each, so that neither pays for the other.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.graphs.language_model import DecoderSize

MODEL = "model.onnx"
_REPLACED = ("seqlens_k", "total", "logit_idx")


def genai_folder(
    folder: Path, model: Path, size: DecoderSize, threads: int, batch: int = 1
) -> None:
    """What `onnxruntime_genai.Model(folder)` opens: for the Engine, whose batches hold up to `batch`
    requests, or with 1 for the Generator."""
    folder.mkdir(parents=True)
    onnx.save_model(_edited(onnx.load(model), wants_all=batch > 1), folder / MODEL)
    (folder / "genai_config.json").write_text(json.dumps(_config(size, threads, batch), indent=1))


def _edited(model: onnx.ModelProto, *, wants_all: bool) -> onnx.ModelProto:
    """Lengths are counted from the mask; logits [B, S, V] of all tokens or [B, 1, V] of the last."""
    graph = model.graph
    kept = [value for value in graph.input if value.name not in _REPLACED]
    del graph.input[:]
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "all"])
    graph.input.extend([kept[0], mask, *kept[1:]])
    nodes = [*_lengths(), *(_every_token() if wants_all else _last_token()), *graph.node]
    del graph.node[:]
    for node in nodes:
        for index, name in enumerate(node.output):
            if name == "logits":
                node.output[index] = "logits.flat"
        graph.node.append(node)
    graph.node.append(helper.make_node("Reshape", ["logits.flat", "logits.shape"], ["logits"]))
    vocabulary = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    axes = ["batch", "sequence" if wants_all else 1, vocabulary]
    graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, axes))
    for name, value in (("one", [1]), ("two", [2]), ("zero", [0]), ("rest", [-1])):
        graph.initializer.append(numpy_helper.from_array(np.array(value), f"mask.{name}"))
    for name, number in (("first", 0), ("step", 1)):
        graph.initializer.append(numpy_helper.from_array(np.array(number), f"mask.{name}"))
    return model


def _lengths() -> list[onnx.NodeProto]:
    """attention_mask [B, all], ids [B, S] → seqlens_k [B], total [1]; B and S."""
    node = helper.make_node
    return [
        node("ReduceSum", ["attention_mask", "mask.one"], ["mask.sum"], keepdims=0),
        node("Sub", ["mask.sum", "mask.one"], ["mask.last"]),
        node("Cast", ["mask.last"], ["seqlens_k"], to=TensorProto.INT32),
        node("Shape", ["attention_mask"], ["mask.shape"]),
        node("Slice", ["mask.shape", "mask.one", "mask.two"], ["mask.all"]),
        node("Cast", ["mask.all"], ["total"], to=TensorProto.INT32),
        node("Shape", ["ids"], ["mask.ids_shape"]),
        node("Gather", ["mask.ids_shape", "mask.first"], ["mask.batch"]),
        node("Slice", ["mask.ids_shape", "mask.one", "mask.two"], ["mask.length"]),
    ]


def _every_token() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("ReduceProd", ["mask.ids_shape"], ["mask.count"], keepdims=0),
        node("Range", ["mask.first", "mask.count", "mask.step"], ["logit_idx"]),
        node("Concat", ["mask.ids_shape", "mask.rest"], ["logits.shape"], axis=0),
    ]


def _last_token() -> list[onnx.NodeProto]:
    """Prompts are padded on the right."""
    node = helper.make_node
    return [
        node("Range", ["mask.first", "mask.batch", "mask.step"], ["mask.rows"]),
        node("Mul", ["mask.rows", "mask.length"], ["mask.starts"]),
        node("Sub", ["mask.length", "mask.one"], ["mask.end"]),
        node("Min", ["mask.last", "mask.end"], ["mask.place"]),
        node("Add", ["mask.starts", "mask.place"], ["logit_idx"]),
        node("Slice", ["mask.ids_shape", "mask.zero", "mask.one"], ["mask.lines"]),
        node("Concat", ["mask.lines", "mask.one", "mask.rest"], ["logits.shape"], axis=0),
    ]


def _config(size: DecoderSize, threads: int, batch: int) -> dict[str, object]:
    decoder = {
        "session_options": {"intra_op_num_threads": threads, "provider_options": []},
        "filename": MODEL,
        "head_size": size.head_size,
        "hidden_size": size.width,
        "num_attention_heads": size.heads,
        "num_hidden_layers": size.layers,
        "num_key_value_heads": size.kv_heads,
        "inputs": {
            "input_ids": "ids",
            "attention_mask": "attention_mask",
            "past_key_names": "past.%d.key",
            "past_value_names": "past.%d.value",
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
    }
    return {
        "model": {
            "type": "llama",
            "bos_token_id": 0,
            "eos_token_id": size.vocabulary - 1,
            "pad_token_id": 0,
            "context_length": size.context,
            "vocab_size": size.vocabulary,
            "decoder": decoder,
        },
        "search": {
            "do_sample": False,
            "max_length": size.context,
            "past_present_share_buffer": True,
        },
        "engine": {"static_batching": {"max_batch_size": batch}},
    }
