"""Recurrent text encoders: Elman's network (1990), LSTM (Hochreiter and Schmidhuber 1997) and GRU (Cho
et al. 2014, arXiv:1406.1078), read in both directions (Schuster and Paliwal 1997).

In training sequences are packed, so that padding costs and changes nothing. The exported graph uses
ONNX's own recurrent operators, which take the lengths as an input and therefore any batch and length,
and begin the backward direction at each row's own end.

Letters: B batch, T tokens, E embedding width, U units per direction, D directions (2), G gates.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from typing_extensions import override

from training.networks.dropout import Dropout
from training.networks.text_encoder import TokenEncoder

Cell = Literal["rnn", "lstm", "gru"]

_MODULES: Final[dict[Cell, Callable[..., nn.RNNBase]]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}
# ONNX orders gates by its own letters: input, output, forget, cell; update, reset, hidden.
GATE_ORDER: Final[dict[Cell, tuple[int, ...]]] = {
    "rnn": (0,),
    "lstm": (0, 3, 1, 2),
    "gru": (1, 0, 2),
}
OPERATOR_VERSION: Final = 14


class RecurrentEncoder(TokenEncoder):
    """`layers` bidirectional layers over embedded tokens; a vector has D·U numbers."""

    def __init__(
        self, cell: Cell, *, vocabulary: int, width: int, units: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.hidden = 2 * units
        self.embedding = nn.Embedding(vocabulary, width)
        # The default deviation of 1 drowns what the cells learn in the first steps.
        nn.init.normal_(self.embedding.weight, std=0.1)
        widths = [width, *[self.hidden] * (layers - 1)]
        self.layers = nn.ModuleList(BidirectionalLayer(cell, size, units) for size in widths)
        self.dropout = Dropout(dropout)

    @override
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor | None = None
    ) -> Tensor:
        x: Tensor = self.embedding(input_ids)  # [B, T, E]
        # A row of padding alone is read as one token: no operator takes a length of 0.
        lengths = attention_mask.sum(dim=1).clamp(min=1)  # [B]
        for layer in self.layers:
            x = layer(self.dropout(x), lengths)  # [B, T, D·U]
        return x

    @override
    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [
            list(self.embedding.parameters()),
            *(list(layer.parameters()) for layer in self.layers),
        ]


def draw_recurrent(layer: nn.RNNBase) -> None:
    """First weights, in place."""
    # Orthogonal recurrence keeps signals alive (Saxe et al. 2014, arXiv:1312.6120).
    for name, weight in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in torch.split(weight.data, layer.hidden_size):
                nn.init.orthogonal_(gate)
        elif name.startswith("weight_ih"):
            nn.init.xavier_uniform_(weight)
        else:
            nn.init.zeros_(weight)


class BidirectionalLayer(nn.Module):
    """x [B, T, E] and lengths int64 [B] ≥ 1 → [B, T, D·U], zeros behind each row's end."""

    def __init__(self, cell: Cell, width: int, units: int) -> None:
        super().__init__()
        self.cell: Cell = cell
        self.units = units
        self.recurrent = _MODULES[cell](width, units, batch_first=True, bidirectional=True)
        draw_recurrent(self.recurrent)
        if cell == "lstm":  # an open forget gate remembers from the start (Jozefowicz et al. 2015)
            for name in ("bias_ih_l0", "bias_ih_l0_reverse"):
                nn.init.ones_(getattr(self.recurrent, name).data[units : 2 * units])

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():
            return self._symbolic(x, lengths)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs = self.recurrent(packed)[0]
        assert isinstance(outputs, PackedSequence)
        padded: Tensor = pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])[0]
        return padded

    def _symbolic(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The operator of ONNX that computes the same; it wants time first and [T, D, B, U] back."""
        biases = torch.cat([self._stacked("bias_ih"), self._stacked("bias_hh")], dim=1)
        inputs = (
            x.transpose(0, 1),
            self._stacked("weight_ih"),
            self._stacked("weight_hh"),
            biases,
            lengths.to(torch.int32),
        )
        attributes: dict[str, Any] = {"hidden_size": self.units, "direction": "bidirectional"}
        if self.cell == "gru":
            attributes["linear_before_reset"] = 1
        outputs = torch.onnx.ops.symbolic(
            self.cell.upper(),
            inputs,
            attributes,
            dtype=x.dtype,
            shape=(x.shape[1], 2, x.shape[0], self.units),
            version=OPERATOR_VERSION,
        )
        return outputs.permute(2, 0, 1, 3).flatten(2)

    def _stacked(self, name: str) -> Tensor:
        """Both directions' weights [D, G·U, …], gates in ONNX's order."""
        both = [getattr(self.recurrent, f"{name}_l0{end}") for end in ("", "_reverse")]
        order = torch.cat(
            [torch.arange(self.units) + g * self.units for g in GATE_ORDER[self.cell]]
        )
        return torch.stack([weight[order] for weight in both])
