"""How the slot graph is exported, asked and labelled: specs, first-prompt inputs, dialect.

Between `slot_graph` (the module) and the pipeline's stages, which want an ExportPlan and named arrays.
Letters as in `slot_graph`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from models.datatypes import DataType
from models.manifest import TensorSpec
from training.networks.decoder import Decoder, DecoderConfig
from training.networks.slot_graph import DIALECT, DIALECT_VERSION, SlotDecoder
from training.work import Array, Arrays, ExportPlan, Predict


def slot_plan(decoder: Decoder, lengths: tuple[int, ...]) -> ExportPlan:
    """Export `decoder` as a slot graph; `lengths` are the prompt lengths that verify compares."""
    config = decoder.config
    return ExportPlan(
        module=SlotDecoder(decoder).eval(),
        inputs=slot_inputs(config),
        outputs=slot_outputs(config, decoder.head.out_features),
        lengths=lengths,
        finish=record_dialect,
    )


def slot_inputs(config: DecoderConfig) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec(name="ids", dtype=DataType.INT64, shape=("batch", "sequence")),
        TensorSpec(name="seqlens_k", dtype=DataType.INT32, shape=("batch",)),
        TensorSpec(name="total", dtype=DataType.INT32, shape=(1,), batch_axis=None),
        TensorSpec(name="logit_idx", dtype=DataType.INT64, shape=("wanted",), batch_axis=None),
        *_cache("past", config),
    )


def slot_outputs(config: DecoderConfig, vocabulary: int) -> tuple[TensorSpec, ...]:
    shape = ("wanted", vocabulary)
    logits = TensorSpec(name="logits", dtype=DataType.FLOAT, shape=shape, batch_axis=None)
    return (logits, *_cache("present", config))


def first_prompts(ids: NDArray[np.int64], config: DecoderConfig) -> Arrays:
    """Inputs that read whole prompts ids [B, S] from an empty cache and want every position's logits."""
    batch, length = ids.shape
    cache = np.zeros((batch, config.kv_heads, length, config.head_size), np.float16)
    return {
        "ids": ids,
        "seqlens_k": np.full(batch, length - 1, np.int32),
        "total": np.array([length], np.int32),
        "logit_idx": np.arange(batch * length, dtype=np.int64),
        **{spec.name: cache for spec in _cache("past", config)},
    }


def decoder_predict(decoder: Decoder) -> Predict:
    """Ask the trained network itself, without any cache, what `first_prompts` asks the graph."""
    device = decoder.embedding.weight.device
    decoder.eval()

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        ids = torch.from_numpy(inputs["ids"]).to(device)
        with torch.inference_mode():
            logits = decoder(ids).flatten(0, 1).float().cpu().numpy()
        return {"logits": logits[inputs["logit_idx"]]}

    return predict


def record_dialect(
    graph: Path, dialect: str = DIALECT, dialect_version: str = DIALECT_VERSION
) -> None:
    """Write into the file what the engine checks first: dialect, its version, the operators used."""
    model = onnx.load(graph, load_external_data=False)  # weights beside the graph stay there
    operators = sorted({node.op_type for node in model.graph.node})
    onnx.helper.set_model_props(
        model,
        {
            "slipway.dialect": dialect,
            "slipway.dialect_version": dialect_version,
            "slipway.operators": " ".join(operators),
        },
    )
    onnx.save_model(model, graph)


def _cache(side: str, config: DecoderConfig) -> tuple[TensorSpec, ...]:
    shape = ("batch", config.kv_heads, "capacity", config.head_size)
    return tuple(
        TensorSpec(name=f"{side}.{layer}.{part}", dtype=DataType.FLOAT16, shape=shape)
        for layer in range(config.layers)
        for part in ("key", "value")
    )
