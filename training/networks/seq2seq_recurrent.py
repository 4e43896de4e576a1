"""The classic encoder–decoder: recurrent layers with attention over what the source left.

Shape legend as in `training.networks.seq2seq`, and: E units of a state (here the only head's size, K is
1) · G gates. The decoder keeps two states: those of a GRU's two layers, or the LSTM's hidden and cell
state.

Sources: encoder–decoder and GRU, Cho et al. 2014 (arXiv:1406.1078); LSTM, Hochreiter & Schmidhuber 1997;
attention with a small network, Bahdanau et al. 2015 (arXiv:1409.0473), or a product, Luong et al. 2015
(arXiv:1508.04025). In both cases it is the new state that looks, as in Luong's: the states of a whole
answer are then computed before any attention, and each matrix product serves all positions at once. The
first state is made from the mean of what was read (Sennrich et al. 2017, arXiv:1703.04357).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.networks.dropout import Dropout
from training.networks.recurrent import BidirectionalLayer, draw_recurrent
from training.networks.seq2seq import Seq2Seq, SlotSizes
from training.networks.seq2seq_settings import RecurrentSeq2SeqConfig

_FORBIDDEN = -1e9


class RecurrentSeq2Seq(Seq2Seq):
    """`source_vocabulary` none: both sides share `vocabulary`."""

    def __init__(
        self,
        config: RecurrentSeq2SeqConfig,
        vocabulary: int,
        *,
        dropout: float = 0.0,
        source_vocabulary: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        width, units = config.width, config.units
        self.embedding = nn.Embedding(vocabulary, width)
        is_shared = source_vocabulary is None and config.tied_embeddings
        self.source_embedding = (
            self.embedding if is_shared else nn.Embedding(source_vocabulary or vocabulary, width)
        )
        sizes = [width, *[2 * units] * (config.encoder_layers - 1)]
        self.encoder = nn.ModuleList(BidirectionalLayer(config.cell, size, units) for size in sizes)
        self.to_key = nn.Linear(2 * units, units, bias=False)
        self.to_value = nn.Linear(2 * units, units, bias=False)
        self.to_state = nn.Linear(units, 2 * units)
        if config.cell == "gru":
            self.recurrent: nn.RNNBase = nn.GRU(width, units, num_layers=2, batch_first=True)
        else:
            self.recurrent = nn.LSTM(width, units, batch_first=True)
        self.query = nn.Linear(units, units, bias=False)
        self.score = nn.Linear(units, 1, bias=False)
        self.mix = nn.Linear(2 * units, width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.dropout = Dropout(dropout)
        draw_recurrent(self.recurrent)
        for embedding in (self.embedding, self.source_embedding):
            nn.init.normal_(embedding.weight, std=width**-0.5)
        if config.tied_embeddings:
            self.head.weight = self.embedding.weight

    @property
    @override
    def sizes(self) -> SlotSizes:
        return SlotSizes(1, 1, self.config.units, self.head.out_features)

    @override
    def encode(self, source: Tensor, mask: Tensor) -> list[Tensor]:
        x: Tensor = self.dropout(self.source_embedding(source) * self.scale)
        lengths = mask.sum(dim=1).clamp(min=1)
        for layer in self.encoder:
            x = self.dropout(layer(x, lengths))
        return [self.to_key(x).unsqueeze(1), torch.tanh(self.to_value(x)).unsqueeze(1)]

    @override
    def decode(self, answer: Tensor, cross: Sequence[Tensor], mask: Tensor) -> Tensor:
        first = self.first_states(cross[1], mask)  # [B, 2, E]
        states, _ = self.read(self.dropout(self.embed(answer)), first)
        bias = (mask == 0)[:, None, :].to(states.dtype) * _FORBIDDEN
        logits: Tensor = self.head(self.attend(states, cross[0], cross[1], bias))
        return logits

    @property
    def scale(self) -> float:
        """Embeddings times √D: what the cells read has unit variance, the tied head's rows are small."""
        return float(self.config.width**0.5)

    def embed(self, answer: Tensor) -> Tensor:
        """answer int64 [B, T] → [B, T, D]"""
        embedded: Tensor = self.embedding(answer) * self.scale
        return embedded

    def first_states(self, value: Tensor, mask: Tensor) -> Tensor:
        """value [B, 1, S, E], mask [B, S] → [B, 2, E]"""
        weights = mask.to(value.dtype)
        mean = (value[:, 0] * weights[:, :, None]).sum(dim=1)
        mean = mean / weights.sum(dim=1, keepdim=True).clamp(min=1)
        states: Tensor = torch.tanh(self.to_state(mean)).view(value.shape[0], 2, -1)
        return states

    def read(self, x: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, D], states [B, 2, E] → top states [B, T, E], the two states after the last token."""
        both = states.transpose(0, 1).contiguous()
        if self.config.cell == "gru":
            top, last = self.recurrent(x, both)
            return top, last.transpose(0, 1)
        top, (hidden, cell) = self.recurrent(x, (both[:1], both[1:]))
        return top, torch.cat([hidden, cell]).transpose(0, 1)

    def attend(self, states: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """states [B, T, E]; key, value [B, 1, S, E]; bias [B, 1, S] → what the head reads [B, T, D]"""
        query, keys = self.query(states), key[:, 0]
        if self.config.attention == "luong":
            scores = query @ keys.transpose(1, 2) * self.config.units**-0.5
        else:
            scores = self.score(torch.tanh(query[:, :, None] + keys[:, None])).squeeze(-1)
        context = torch.softmax(scores + bias, dim=-1) @ value[:, 0]
        mixed: Tensor = torch.tanh(self.mix(torch.cat([context, states], dim=-1)))
        dropped: Tensor = self.dropout(mixed)
        return dropped

    @override
    def slot_graph(self) -> nn.Module:
        from training.networks.cross_slot_recurrent import RecurrentSlot

        return RecurrentSlot(self)
