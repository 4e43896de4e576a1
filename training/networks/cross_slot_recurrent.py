"""The recurrent decoder in the words of a slot graph: its states take the place of keys and values.

The engine's cache has a place for every token of an answer. Here the place of a token holds the two
states after that token (`past.0.key` and `past.0.value`, one head of E numbers each), and a step goes on
from the place before. So a state is as easily kept, moved or forgotten as a Transformer's cache, and
what lies behind a row's end is never read: the same engine serves both, batched and step by step.

Where several tokens are read at once, a GRU's or an LSTM's lower state is known after the last of them
alone; it is written to all of their places, of which only the last is read. Letters as in `cross_slot`.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

from training.networks.cross_slot import split_inputs, wanted
from training.networks.recurrent import GATE_ORDER, OPERATOR_VERSION
from training.networks.seq2seq_recurrent import RecurrentSeq2Seq
from training.networks.slot_graph import CACHE_DTYPE

_HIDDEN: Final = -1e9


class RecurrentSlot(nn.Module):
    """Wraps a trained network; shares its weights."""

    def __init__(self, network: RecurrentSeq2Seq) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        ids: Tensor,
        seqlens_k: Tensor,
        total: Tensor,  # noqa: ARG002 - bounds what a kernel reads; nothing here reads so much
        logit_idx: Tensor,
        *rest: Tensor,
    ) -> tuple[Tensor, ...]:
        network = self.network
        past, lengths, cross = split_inputs(rest, network.sizes.layers)
        key, value = (side.to(torch.float32) for side in cross)
        places = torch.arange(key.shape[2], device=ids.device)
        mask = (places[None, :] < lengths[:, None]).to(torch.int64)
        # Rows that are padded on the right begin from nothing, whatever their length.
        fed = ids.shape[1]
        cached = (seqlens_k + 1 - fed).clamp(min=0).to(torch.int64)  # [B]
        before = self._states(past, cached, network.first_states(value, mask))
        count = (seqlens_k + 1).to(torch.int64) - cached  # tokens of this step, [B]
        top, last = self._read(network.embed(ids), before, count)
        present = self._written(past, cached, top, last)
        bias = (mask == 0)[:, None, :].to(torch.float32) * _HIDDEN
        mixed = network.attend(top, key, value, bias)
        logits = network.head(wanted(mixed, logit_idx))
        return (torch.squeeze(logits, 0), *present)

    def _states(
        self, past: tuple[Tensor, ...], cached: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The two states [B, E] before this step's first token."""
        place = (cached - 1).clamp(min=0)[:, None, None, None].expand(-1, 1, 1, first.shape[-1])
        is_new = (cached == 0)[:, None]
        both = []
        for side, cache in enumerate(past):
            kept = cache.gather(2, place)[:, 0, 0].to(torch.float32)
            both.append(torch.where(is_new, first[:, side], kept))
        return both[0], both[1]

    def _written(
        self, past: tuple[Tensor, ...], cached: Tensor, top: Tensor, last: tuple[Tensor, Tensor]
    ) -> list[Tensor]:
        """The cache with this step's states. A layer's states that are known for every token are all
        written; of the other side the last, everywhere."""
        _, fed, size = top.shape
        steps = torch.arange(fed, device=top.device)
        place = (cached[:, None] + steps)[:, None, :, None].expand(-1, 1, -1, size)
        whole = [side[:, None, :].expand(-1, fed, -1) for side in last]
        if self.network.config.cell == "gru":
            whole[1] = top  # the upper layer's
        else:
            whole[0] = top  # the hidden state
        return [
            cache.scatter(2, place, side[:, None].to(CACHE_DTYPE))
            for cache, side in zip(past, whole, strict=True)
        ]

    def _read(
        self, x: Tensor, before: tuple[Tensor, Tensor], count: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x [B, S, D] → top states [B, S, E], both states after each row's last token [B, E]."""
        if self.network.config.cell == "gru":
            lower, lower_last = self._gru(x, before[0], count, 0)
            top, top_last = self._gru(lower, before[1], count, 1)
            return top, (lower_last, top_last)
        top, hidden, cell = self._operator("LSTM", x, count, 0, before, outputs=3)
        return _rows_first(top), (hidden[0], cell[0])

    def _gru(self, x: Tensor, state: Tensor, count: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        states, last = self._operator("GRU", x, count, layer, (state,), outputs=2)
        return _rows_first(states), last[0]

    def _operator(
        self,
        name: str,
        x: Tensor,
        count: Tensor,
        layer: int,
        states: tuple[Tensor, ...],
        outputs: int,
    ) -> tuple[Tensor, ...]:
        """ONNX's recurrent operator: time first, [S, 1, B, E], and the states after each row's end."""
        assert torch.onnx.is_in_onnx_export(), "outside an export the operator computes nothing"
        recurrent, units = self.network.recurrent, self.network.config.units
        order = torch.cat(
            [torch.arange(units) + gate * units for gate in GATE_ORDER[self.network.config.cell]]
        )
        weights = {
            kind: getattr(recurrent, f"{kind}_l{layer}")[order][None]
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        inputs = (
            x.transpose(0, 1),
            weights["weight_ih"],
            weights["weight_hh"],
            torch.cat([weights["bias_ih"], weights["bias_hh"]], dim=1),
            count.to(torch.int32),
            *(state[None] for state in states),
        )
        attributes: dict[str, Any] = {"hidden_size": units}
        if name == "GRU":
            attributes["linear_before_reset"] = 1
        last = (1, x.shape[0], units)
        return tuple(
            torch.onnx.ops.symbolic_multi_out(
                name,
                inputs,
                attributes,
                dtypes=(x.dtype,) * outputs,
                shapes=((x.shape[1], *last), *((last,) * (outputs - 1))),
                version=OPERATOR_VERSION,
            )
        )


def _rows_first(states: Tensor) -> Tensor:
    """[S, 1, B, E] → [B, S, E]"""
    return states[:, 0].transpose(0, 1)
