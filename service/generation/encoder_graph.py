"""The encoder of an encoder–decoder: opened, checked against its decoder, and run over several sources.

The contract (letters as in graph.py; S source tokens):

    input_ids[B,S] i64 · attention_mask[B,S] i64 → cross.{i}.{key,value}[B,K,S,E]

B and S must be symbolic. What it answers of a source must not depend on the sources beside it. Padding
changes the last bits of long sums, so sources are padded to whole steps of PADDED_TOKENS, alone as among
others, and only sources of one padded length are read together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.runtimes.onnxruntime.session import check_started
from service.generation.graph import (
    ON_CPU,
    DecoderGraph,
    Place,
    open_session,
    require,
    require_cache,
)
from service.generation.graph_runs import GraphRuns

ENCODER_FILE = "encoder.onnx"
PADDED_TOKENS = 16
_INPUTS = ("input_ids", "attention_mask")

Source = list[NDArray[Any]]
"""What the encoder left of one source: keys and values [K, S, E] of each of the decoder's layers."""


def padded_tokens(tokens: int) -> int:
    return -(-tokens // PADDED_TOKENS) * PADDED_TOKENS


@dataclass(frozen=True)
class EncoderGraph:
    """An open session; `names` are its outputs. Runs obey what stops the decoder's."""

    session: ort.InferenceSession
    names: tuple[str, ...]
    runs: GraphRuns

    def read(self, sources: Sequence[NDArray[np.int64]]) -> list[Source]:
        """Token ids of sources of one padded length → what is left of each, without the padding."""
        width = padded_tokens(max(len(source) for source in sources))
        ids = np.zeros((len(sources), width), np.int64)
        mask = np.zeros_like(ids)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = source
            mask[row, : len(source)] = 1
        given = dict(zip(_INPUTS, (ids, mask), strict=True))
        left = self.session.run(list(self.names), given, self.runs.plain)
        return [
            [side[row, :, : len(source)] for side in left] for row, source in enumerate(sources)
        ]


def open_encoder(
    model: bytes,
    decoder: DecoderGraph,
    options: ort.SessionOptions | None = None,
    place: Place = ON_CPU,
) -> EncoderGraph:
    """Raises GraphRefused naming what breaks the contract, or what does not fit the decoder, ProviderMissing
    where the place is not there. What it answers comes to the host's memory, wherever it computes."""
    session = open_session(model, options, "encoder", place.providers)
    if place.is_device:
        check_started(session, "cuda", place.complaints)
    inputs = session.get_inputs()
    given = tuple((entry.name, entry.type, len(entry.shape)) for entry in inputs)
    require(
        given == tuple((name, "tensor(int64)", 2) for name in _INPUTS),
        f"the encoder's inputs are {given}, not {_INPUTS}: int64 [sources, tokens]",
    )
    for entry in inputs:
        fixed = [axis for axis in entry.shape if isinstance(axis, int)]
        require(not fixed, f"the encoder's {entry.name} has a fixed axis")
    require_cache(decoder, "cross", session.get_outputs())
    names = tuple(f"cross.{name}" for name in decoder.cache_names)
    return EncoderGraph(session, names, decoder.runs)
