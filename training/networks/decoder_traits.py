"""What distinguishes one family of decoders from another, as data: no sizes, no weights.

Read by `training.networks.decoder`, which builds any of them from the same parts, and by
`training.networks.slot_graph`, which exports any of them into the same graph. Trained recipes choose
from FAMILIES; imported checkpoints bring traits of their own (`training.importing.decoders`).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rotary:
    """Rotary positions: radians per token of each rotated pair, and what cos and sin are multiplied by.
    Fewer pairs than half the head size leave the rest of a head as it is."""

    frequencies: tuple[float, ...]
    magnitude: float = 1.0

    def tables(self, context: int) -> tuple[Tensor, Tensor]:
        """cos and sin of every position's angles, float32 [C, R/2] each, R rotated numbers of a head."""
        pace = torch.tensor(self.frequencies, dtype=torch.float32)
        angles = torch.outer(torch.arange(context).float(), pace)
        return angles.cos() * self.magnitude, angles.sin() * self.magnitude


@dataclass(frozen=True)
class DecoderTraits:
    """Defaults are what most families have; `rotaries` are the configuration's where it has none.

    `arrangement`: sequential, each part on a normalised copy of the stream (Llama, GPT-2); sandwich, its
    result is normalised as well (Gemma 2 and 3); parallel, both parts on one copy (Phi).
    `windows`: tokens that each layer sees, itself included; 0 sees all, () is 0 for every layer.
    `layer_rotaries`: which of `rotaries` each layer uses; () is the first for every layer.
    """

    positions: Literal["rotary", "learned"]
    norm: Literal["rms", "layer"]
    activation: Literal["silu", "gelu", "gelu_tanh"]
    is_gated: bool = False
    biases: frozenset[Literal["qkv", "out", "feed_forward", "head"]] = frozenset()
    arrangement: Literal["sequential", "sandwich", "parallel"] = "sequential"
    normalises_heads: bool = False
    embedding_scale: float = 1.0
    attention_scale: float | None = None
    attention_softcap: float = 0.0
    logit_softcap: float = 0.0
    windows: tuple[int, ...] = ()
    rotaries: tuple[Rotary, ...] = ()
    layer_rotaries: tuple[int, ...] = ()

    def window(self, layer: int) -> int:
        return self.windows[layer] if self.windows else 0

    def rotary(self, layer: int) -> int:
        return self.layer_rotaries[layer] if self.layer_rotaries else 0


FAMILIES = {
    "llama": DecoderTraits(positions="rotary", norm="rms", activation="silu", is_gated=True),
    "gpt2": DecoderTraits(
        positions="learned",
        norm="layer",
        activation="gelu_tanh",
        biases=frozenset({"qkv", "out", "feed_forward"}),
    ),
}
