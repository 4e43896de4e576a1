"""How an encoder–decoder is exported as two graphs, asked and labelled. Letters as in `cross_slot`.

One `Predict` answers for both graphs, in torch or in ONNX Runtime. It does what it is asked: given
`input_ids` and `attention_mask` it reads sources and answers `cross.*`; given `ids` it writes, from a
`cross.*` that is given or that it has just read, and answers `logits`. So verifying, the golden exam and
decoding ask through the same door, and none of them can tell the two sides apart.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.datatypes import DataType
from models.manifest import MODEL_FILE, TensorSpec
from training.networks.cross_slot import DIALECT, DIALECT_VERSION, ENCODER_FILE, EncoderGraph
from training.networks.seq2seq import Seq2Seq, SlotSizes
from training.networks.slot_plan import record_dialect
from training.predict import onnx_predict
from training.work import Array, Arrays, ExportPlan, Predict

ENCODER_INPUTS = ("input_ids", "attention_mask")


def cross_plans(network: Seq2Seq, lengths: tuple[int, ...]) -> ExportPlan:
    """The plan of model.onnx, the encoder's beside it; `lengths` are what verify compares."""
    sizes = network.sizes
    encoder = ExportPlan(
        module=EncoderGraph(network).eval(),
        inputs=tuple(
            TensorSpec(name=name, dtype=DataType.INT64, shape=("batch", "source"))
            for name in ENCODER_INPUTS
        ),
        outputs=_pairs("cross", sizes, "source"),
        file=ENCODER_FILE,
        lengths=lengths,
        example=lambda batch, length: _example_source(batch, length or 2),
    )
    return ExportPlan(
        module=network.slot_graph().eval(),
        inputs=decoder_inputs(sizes),
        outputs=decoder_outputs(sizes),
        lengths=lengths,
        example=lambda batch, length: _example_step(sizes, batch, length or 2),
        beside=(encoder,),
        finish=lambda graph: record_dialect(graph, DIALECT, DIALECT_VERSION),
    )


def decoder_inputs(sizes: SlotSizes) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec(name="ids", dtype=DataType.INT64, shape=("batch", "sequence")),
        TensorSpec(name="seqlens_k", dtype=DataType.INT32, shape=("batch",)),
        TensorSpec(name="total", dtype=DataType.INT32, shape=(1,), batch_axis=None),
        TensorSpec(name="logit_idx", dtype=DataType.INT64, shape=("wanted",), batch_axis=None),
        *_pairs("past", sizes, "capacity"),
        TensorSpec(name="cross_lengths", dtype=DataType.INT32, shape=("batch",)),
        *_pairs("cross", sizes, "source"),
    )


def decoder_outputs(sizes: SlotSizes) -> tuple[TensorSpec, ...]:
    shape = ("wanted", sizes.vocabulary)
    logits = TensorSpec(name="logits", dtype=DataType.FLOAT, shape=shape, batch_axis=None)
    return (logits, *_pairs("present", sizes, "capacity"))


def first_answers(ids: NDArray[np.int64], sizes: SlotSizes, *, last_only: bool = False) -> Arrays:
    """Inputs that read whole answers ids [B, T] from an empty cache and want the logits of every
    position, or of the last ones."""
    batch, length = ids.shape
    cache = np.zeros((batch, sizes.kv_heads, length, sizes.head_size), np.float16)
    places = np.arange(batch * length, dtype=np.int64)
    return {
        "ids": ids,
        "seqlens_k": np.full(batch, length - 1, np.int32),
        "total": np.array([length], np.int32),
        "logit_idx": places[length - 1 :: length] if last_only else places,
        **{spec.name: cache for spec in _pairs("past", sizes, "capacity")},
    }


def torch_bundle(network: Seq2Seq) -> Predict:
    """Ask the trained network itself: no cache, nothing rounded to float16."""

    def tensor(array: Array) -> torch.Tensor:
        return torch.from_numpy(array).to(next(network.parameters()).device)

    def encode(inputs: Mapping[str, Array]) -> Arrays:
        network.eval()
        with torch.inference_mode():
            cross = network.encode(*(tensor(inputs[name]) for name in ENCODER_INPUTS))
        names = (spec.name for spec in _pairs("cross", network.sizes, "source"))
        return {name: side.float().cpu().numpy() for name, side in zip(names, cross, strict=True)}

    def decode(inputs: Mapping[str, Array]) -> Arrays:
        network.eval()
        names = [spec.name for spec in _pairs("cross", network.sizes, "source")]
        cross = [tensor(inputs[name]).float() for name in names]
        places = np.arange(cross[0].shape[2])
        mask = tensor((places < inputs["cross_lengths"][:, np.newaxis]).astype(np.int64))
        with torch.inference_mode():
            logits = network.decode(tensor(inputs["ids"]), cross, mask).flatten(0, 1)
            chosen = logits[tensor(inputs["logit_idx"])]
        return {"logits": chosen.float().cpu().numpy()}

    return _joined(encode, decode)


def onnx_bundle(graph: Path) -> Predict:
    """Ask the exported graphs; `graph` is model.onnx or a variant of it, the encoder the bundle's."""
    folder = graph.parent if graph.name == MODEL_FILE else graph.parent.parent
    return _joined(onnx_predict(folder / ENCODER_FILE), onnx_predict(graph))


def _joined(encode: Predict, decode: Predict) -> Predict:
    def predict(inputs: Mapping[str, Array]) -> Arrays:
        answers: Arrays = {}
        given = {name: array for name, array in inputs.items() if name not in ENCODER_INPUTS}
        if "input_ids" in inputs:
            answers = encode({name: inputs[name] for name in ENCODER_INPUTS})
            lengths = inputs["attention_mask"].sum(axis=1).astype(np.int32)
            given |= {"cross_lengths": lengths, **answers}
        if "ids" in inputs:
            answers |= decode(given)
        return answers

    return predict


def _pairs(side: str, sizes: SlotSizes, axis: str) -> tuple[TensorSpec, ...]:
    shape = ("batch", sizes.kv_heads, axis, sizes.head_size)
    return tuple(
        TensorSpec(name=f"{side}.{layer}.{part}", dtype=DataType.FLOAT16, shape=shape)
        for layer in range(sizes.layers)
        for part in ("key", "value")
    )


def _example_source(batch: int, length: int) -> Arrays:
    ids = np.ones((batch, length), np.int64)
    return {"input_ids": ids, "attention_mask": ids}


def _example_step(sizes: SlotSizes, batch: int, length: int) -> Arrays:
    """Only sizes count; those of source, answer and cache differ, lest one be taken for another."""
    source = np.zeros((batch, sizes.kv_heads, length + 3, sizes.head_size), np.float16)
    cache = np.zeros((batch, sizes.kv_heads, length + 7, sizes.head_size), np.float16)
    step = first_answers(np.ones((batch, length), np.int64), sizes)
    return {
        **step,
        **{spec.name: cache for spec in _pairs("past", sizes, "capacity")},
        "cross_lengths": np.full(batch, length, np.int32),
        **{spec.name: source for spec in _pairs("cross", sizes, "source")},
    }
