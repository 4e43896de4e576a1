"""Tiny encoder–decoders with random weights, exported once, and the reference that answers are held against.

The reference is what measures models in training: it holds no cache and reads every answer anew.
"""

import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.manifest import MODEL_FILE
from models.transforms.beams import Beam
from service.generation.encoder_graph import ENCODER_FILE, EncoderGraph, open_encoder
from service.generation.engine import SlotEngine
from service.generation.graph import DecoderGraph, open_graph
from service.generation.limits import EngineLimits
from service.generation.request import GenerationRequest, SamplingParams
from training.decoding import Writing, search, source_step
from training.export import example_size, export
from training.networks.cross_plan import cross_plans, onnx_bundle
from training.networks.seq2seq import Seq2Seq
from training.networks.seq2seq_recurrent import RecurrentSeq2Seq
from training.networks.seq2seq_settings import RecurrentSeq2SeqConfig, TransformerSeq2SeqConfig
from training.networks.seq2seq_t5 import T5Seq2Seq
from training.networks.seq2seq_transformer import TransformerSeq2Seq
from training.work import Predict

VOCABULARY = 256  # bytes, so that the graphs can also answer texts
CONTEXT = 32
LONGEST_SOURCE = 80
START = 0
STOPS = tuple(range(1, 33))  # of one, random weights would hardly ever make an ending
KINDS = ("transformer", "gru", "t5")


@dataclass(frozen=True)
class Translator:
    network: Seq2Seq
    folder: Path
    decoder: DecoderGraph
    encoder: EncoderGraph
    predict: Predict

    def engine(
        self,
        slots: int = 6,
        waiting: int = 1000,
        chunk: int = 64,
        clock: Callable[[], float] = time.monotonic,
        **limits: int,
    ) -> SlotEngine:
        named = {"max_waiting": waiting, "prefill_chunk_tokens": chunk}
        made = EngineLimits(CONTEXT, slots, source_tokens=LONGEST_SOURCE, **named, **limits)
        return SlotEngine(self.decoder, made, STOPS, clock=clock, encoder=self.encoder)

    def reference(self, wanted: GenerationRequest) -> Beam:
        params = wanted.sampling
        writing = Writing(START, STOPS, params.max_tokens, params.num_beams, params.length_penalty)
        source = np.array(wanted.source_ids, np.int64)
        step = source_step([source], self.predict, self.network.sizes)
        return search(step, 1, writing)[0]


@functools.cache
def translator(kind: str) -> Translator:
    folder = Path(tempfile.mkdtemp(prefix="translator-"))
    network = _network(kind).eval()
    plan = cross_plans(network, (2, 5, 11))
    for part in (plan, *plan.beside):
        assert part.example is not None
        export(part, part.example(*example_size(part)), folder / part.file)
    decoder = open_graph((folder / MODEL_FILE).read_bytes())
    encoder = open_encoder((folder / ENCODER_FILE).read_bytes(), decoder)
    return Translator(network, folder, decoder, encoder, onnx_bundle(folder / MODEL_FILE))


def _network(kind: str) -> Seq2Seq:
    torch.manual_seed(11)
    if kind == "t5":
        return _t5()
    made: Seq2Seq
    if kind == "transformer":
        sizes = TransformerSeq2SeqConfig(
            width=64, encoder_layers=1, decoder_layers=2, heads=4, kv_heads=2, hidden=32,
            tied_embeddings=False,
        )  # fmt: skip
        made = TransformerSeq2Seq(sizes, VOCABULARY, longest=LONGEST_SOURCE)
    else:
        settings = RecurrentSeq2SeqConfig(width=24, units=32, tied_embeddings=False)
        made = RecurrentSeq2Seq(settings, VOCABULARY)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.25)  # as drawn, the answers hardly differ from each other
    return made


def _t5() -> Seq2Seq:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=VOCABULARY, d_model=48, d_kv=16, d_ff=32, num_layers=2, num_heads=4,
        decoder_start_token_id=START, eos_token_id=STOPS[0], feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=8, relative_attention_max_distance=12, dropout_rate=0.0,
        tie_word_embeddings=False,
    )  # fmt: skip
    module = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.dim() > 1:
                weight.normal_(std=1.0 if "relative_attention_bias" in name else 0.15)
    return T5Seq2Seq(module)


def asked(source: list[int], **sampling: Any) -> GenerationRequest:
    fields = {"temperature": 0.0, "max_tokens": 12} | sampling
    return GenerationRequest((START,), SamplingParams(**fields), source_ids=tuple(source))
