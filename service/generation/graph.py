"""The slot graph: opened from verified bytes, checked against the contract before anything runs.

The contract (written by training's exporter; letters: B rows, S tokens, N wanted logits, P cache length,
K key/value heads, E head size, V vocabulary):

    ids[B,S] i64 · seqlens_k[B] i32 · total[1] i32 · logit_idx[N] i64 · past.{i}.{key,value}[B,K,P,E]
        → logits[N,V] f32 · present.{i}.{key,value}[B,K,P,E]

The decoder of an encoder–decoder (another dialect) also reads what its encoder left; X source tokens:

    … · cross_lengths[B] i32 · cross.{i}.{key,value}[B,K,X,E]      positions from cross_lengths on are masked

B, S, N, P and X must be symbolic; `encoder_graph` has the other graph. Dynamically quantised graphs are
refused: their activation scale is one number for the whole batch, so one caller's tokens would change
another caller's answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnxruntime as ort

from models.errors import BundleError
from models.runtimes.onnxruntime.device import HOST, Target
from models.runtimes.onnxruntime.providers import NAMES, Chain, Wish
from models.runtimes.onnxruntime.session import check_started
from service.generation.graph_runs import GraphRuns

DIALECT_KEY = "slipway.dialect"
DIALECT = "slipway.slot"
CROSS_DIALECT = "slipway.slot.cross"
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
class Place:
    """Where a graph computes and its cache lies. `complaints`: what could not be loaded for it.
    `capturing`: the providers told to capture runs, which is tried first."""

    providers: Chain = field(default_factory=lambda: [NAMES["cpu"]])
    target: Target = HOST
    complaints: str = ""
    capturing: Chain | None = None

    @property
    def is_device(self) -> bool:
        return self.target.kind != "cpu"


ON_CPU = Place()


@dataclass(frozen=True)
class DecoderGraph:
    """An open session and the sizes that the cache and the sampler need. `reads_source`: it is the decoder
    of an encoder–decoder. `target`: where its cache lies. `runs`: the options that go with every run.
    """

    session: ort.InferenceSession
    layers: int
    kv_heads: int
    head_size: int
    vocabulary: int
    cache_dtype: np.dtype[Any]
    reads_source: bool = False
    target: Target = HOST
    runs: GraphRuns = field(default_factory=GraphRuns)

    @property
    def cache_names(self) -> tuple[str, ...]:
        """`{i}.{key,value}` in graph order; inputs put `past.` before, outputs `present.`."""
        return tuple(f"{i}.{side}" for i in range(self.layers) for side in ("key", "value"))


def open_graph(
    model: bytes, options: ort.SessionOptions | None = None, place: Place = ON_CPU
) -> DecoderGraph:
    """Raises GraphRefused naming what breaks the contract, ProviderMissing where the place is not there."""
    session, captures = _open_there(model, options, place)
    if place.is_device:
        check_started(session, "cuda", place.complaints)
    graph = check_graph(session)
    captures = captures and not graph.reads_source  # whose keys and values move as sources come
    return replace(graph, target=place.target, runs=GraphRuns(captures=captures))


def _open_there(
    model: bytes, options: ort.SessionOptions | None, place: Place
) -> tuple[ort.InferenceSession, bool]:
    """And whether its runs can be captured."""
    if place.capturing is not None:
        try:
            return open_session(model, options, "decoder", place.capturing), True
        except GraphRefused as refused:
            if Wish(has_graphs=True).weaker(refused.message) is None:
                raise
    return open_session(model, options, "decoder", place.providers), False


def open_session(
    model: bytes,
    options: ort.SessionOptions | None,
    part: str,
    providers: Chain | None = None,
) -> ort.InferenceSession:
    """`part`: encoder or decoder. Raises GraphRefused for graphs that cannot be opened, or whose rows
    would depend on each other."""
    for name in _BATCH_SCALED:
        if name in model:
            raise GraphRefused(
                f"the {part} graph holds {name.decode()} operators, whose scale spans the batch: "
                "one request would change another's answer; use a weight-only variant"
            )
    try:
        return ort.InferenceSession(
            model, options, providers=providers or ON_CPU.providers, enable_fallback=0
        )
    except Exception as error:  # the runtime raises many kinds; the loader gets one
        raise GraphRefused(f"ONNX Runtime cannot open the {part} graph: {error}") from error


def check_graph(session: ort.InferenceSession) -> DecoderGraph:
    """Compare names, types and shapes with the contract. Raises GraphRefused."""
    reads_source = _dialect(session) == CROSS_DIALECT
    inputs, outputs = session.get_inputs(), session.get_outputs()
    for (name, kind, rank), given in zip(CONTROL_INPUTS, inputs, strict=False):
        same = (given.name, given.type, len(given.shape)) == (name, kind, rank)
        require(same, f"input {given.name} is {given.type}{given.shape}, not {name}: {kind}")
    past, present = inputs[len(CONTROL_INPUTS) :], outputs[1:]
    source: list[Any] = []
    if (
        reads_source
    ):  # cross_lengths stands between as many cached tensors of the answer and the source
        past, source = past[: len(past) // 2], past[len(past) // 2 :]
    require(len(past) >= 2 and len(past) % 2 == 0, f"{len(past)} cache inputs are not pairs")
    for index in (0, 1):
        require(_symbolic(inputs[0].shape[index]), f"ids has a fixed axis {index}")
    require(_symbolic(inputs[3].shape[0]), "logit_idx has a fixed length")
    logits = outputs[0]
    sized = logits.name == "logits" and logits.type == "tensor(float)" and len(logits.shape) == 2
    require(sized and isinstance(logits.shape[1], int), f"first output is {logits}")
    require(past[0].type in CACHE_TYPES and len(past[0].shape) == 4, f"cache is {past[0]}")
    _, kv_heads, _, head_size = past[0].shape
    graph = DecoderGraph(
        session=session,
        layers=len(past) // 2,
        kv_heads=kv_heads,
        head_size=head_size,
        vocabulary=logits.shape[1],
        cache_dtype=np.dtype(CACHE_TYPES[past[0].type]),
        reads_source=reads_source,
    )
    require_cache(graph, "past", past)
    require_cache(graph, "present", present)
    if reads_source:
        lengths = source[0]
        same = (lengths.name, lengths.type) == ("cross_lengths", "tensor(int32)")
        require(same and len(lengths.shape) == 1, f"input {lengths.name} is not cross_lengths")
        require_cache(graph, "cross", source[1:])
    return graph


def _dialect(session: ort.InferenceSession) -> str:
    written = session.get_modelmeta().custom_metadata_map
    dialect, version = written.get(DIALECT_KEY), written.get(VERSION_KEY)
    known = dialect in (DIALECT, CROSS_DIALECT) and version == VERSION
    wanted = f"{DIALECT} or {CROSS_DIALECT} of version {VERSION}"
    require(known, f"dialect is {(dialect, version)}, not {wanted}")
    return str(dialect)


def require_cache(graph: DecoderGraph, prefix: str, tensors: list[Any]) -> None:
    """Names, sizes and type of tensors that are kept per row. Raises GraphRefused."""
    names = [f"{prefix}.{name}" for name in graph.cache_names]
    given = [tensor.name for tensor in tensors]
    require(given == names, f"cache tensors are {given}, not {names}")
    kinds = [kind for kind, dtype in CACHE_TYPES.items() if dtype == graph.cache_dtype]
    for tensor in tensors:
        require(len(tensor.shape) == 4, f"{tensor.name} is {tensor.type}{tensor.shape}")
        batch, kv_heads, length, head_size = tensor.shape
        same = (kv_heads, head_size) == (graph.kv_heads, graph.head_size) and tensor.type in kinds
        require(same, f"{tensor.name} is {tensor.type}{tensor.shape}")
        require(_symbolic(batch) and _symbolic(length), f"{tensor.name} has a fixed axis")


def _symbolic(axis: object) -> bool:
    return not isinstance(axis, int)


def require(condition: bool, complaint: str) -> None:
    """Raises GraphRefused."""
    if not condition:
        raise GraphRefused(f"the graph does not follow the slot contract: {complaint}")
