"""The slot graph: opened from verified bytes, checked against the contract before anything runs.

The contract (written by training's exporter; letters: B rows, S tokens, N wanted logits, P cache length,
K key/value heads, E head size, V vocabulary):

    ids[B,S] i64 · seqlens_k[B] i32 · total[1] i32 · logit_idx[N] i64 · past.{i}.{key,value}[B,K,P,E]
        → logits[N,V] f32 · present.{i}.{key,value}[B,K,P,E]

B, S, N and P must be symbolic. Dynamically quantised graphs are refused: their activation scale is one
number for the whole batch, so one caller's tokens would change another caller's answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort

from models.errors import BundleError

DIALECT_KEY = "slipway.dialect"
DIALECT = "slipway.slot"
VERSION_KEY = "slipway.dialect_version"
VERSION = "1"
CONTROL_INPUTS = (
    ("ids", "tensor(int64)", 2),
    ("seqlens_k", "tensor(int32)", 1),
    ("total", "tensor(int32)", 1),
    ("logit_idx", "tensor(int64)", 1),
)
CACHE_TYPES = {"tensor(float16)": np.float16, "tensor(float)": np.float32}
# Operators whose quantisation scale spans the batch. Operator names stand in the serialized graph as
# plain bytes, so a scan finds them without an ONNX parser; a tensor that merely carries such a name
# is refused as well, which is the safe side.
_BATCH_SCALED = (b"DynamicQuantize",)


class GraphRefused(BundleError):
    """The decoder graph breaks the slot contract, or would let one caller change another's answer."""

    reason = "graph_refused"


@dataclass(frozen=True)
class DecoderGraph:
    """An open session and the sizes that the cache and the sampler need.

    `run_options` go with every run; setting `terminate` there lets the current one fail soon.
    """

    session: ort.InferenceSession
    layers: int
    kv_heads: int
    head_size: int
    vocabulary: int
    cache_dtype: np.dtype[Any]
    run_options: ort.RunOptions = field(default_factory=ort.RunOptions)

    @property
    def cache_names(self) -> tuple[str, ...]:
        """`{i}.{key,value}` in graph order; inputs put `past.` before, outputs `present.`."""
        return tuple(f"{i}.{side}" for i in range(self.layers) for side in ("key", "value"))


def open_graph(model: bytes, options: ort.SessionOptions | None = None) -> DecoderGraph:
    """Open the graph on the CPU. Raises GraphRefused naming what breaks the contract."""
    for name in _BATCH_SCALED:
        if name in model:
            raise GraphRefused(
                f"the decoder graph holds {name.decode()} operators, whose scale spans the batch: "
                "one request would change another's answer; use a weight-only variant"
            )
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises many kinds; the loader gets one
        raise GraphRefused(f"ONNX Runtime cannot open the decoder graph: {error}") from error
    return check_graph(session)


def check_graph(session: ort.InferenceSession) -> DecoderGraph:
    """Compare names, types and shapes with the contract. Raises GraphRefused."""
    dialect = session.get_modelmeta().custom_metadata_map
    found = (dialect.get(DIALECT_KEY), dialect.get(VERSION_KEY))
    _require(found == (DIALECT, VERSION), f"dialect is {found}, not {(DIALECT, VERSION)}")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    for (name, kind, rank), given in zip(CONTROL_INPUTS, inputs, strict=False):
        same = (given.name, given.type, len(given.shape)) == (name, kind, rank)
        _require(same, f"input {given.name} is {given.type}{given.shape}, not {name}: {kind}")
    past, present = inputs[len(CONTROL_INPUTS) :], outputs[1:]
    _require(len(past) >= 2 and len(past) % 2 == 0, f"{len(past)} cache inputs are not pairs")
    for index in (0, 1):
        _require(_symbolic(inputs[0].shape[index]), f"ids has a fixed axis {index}")
    _require(_symbolic(inputs[3].shape[0]), "logit_idx has a fixed length")
    logits = outputs[0]
    sized = logits.name == "logits" and logits.type == "tensor(float)" and len(logits.shape) == 2
    _require(sized and isinstance(logits.shape[1], int), f"first output is {logits}")
    _require(past[0].type in CACHE_TYPES and len(past[0].shape) == 4, f"cache is {past[0]}")
    _, kv_heads, _, head_size = past[0].shape
    graph = DecoderGraph(
        session=session,
        layers=len(past) // 2,
        kv_heads=kv_heads,
        head_size=head_size,
        vocabulary=logits.shape[1],
        cache_dtype=np.dtype(CACHE_TYPES[past[0].type]),
    )
    _require_cache(graph, "past", past, past[0].type)
    _require_cache(graph, "present", present, past[0].type)
    return graph


def _require_cache(graph: DecoderGraph, prefix: str, tensors: list[Any], kind: str) -> None:
    names = [f"{prefix}.{name}" for name in graph.cache_names]
    given = [tensor.name for tensor in tensors]
    _require(given == names, f"cache tensors are {given}, not {names}")
    for tensor in tensors:
        batch, kv_heads, length, head_size = tensor.shape
        same = (kv_heads, head_size, tensor.type) == (graph.kv_heads, graph.head_size, kind)
        _require(same, f"{tensor.name} is {tensor.type}{tensor.shape}")
        _require(_symbolic(batch) and _symbolic(length), f"{tensor.name} has a fixed axis")


def _symbolic(axis: object) -> bool:
    return not isinstance(axis, int)


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise GraphRefused(f"the decoder graph does not follow the slot contract: {complaint}")
