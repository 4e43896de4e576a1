"""A tiny decoder with random weights, exported once: large enough weights that rows differ clearly."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from service.generation.engine import SlotEngine
from service.generation.graph import DecoderGraph, open_graph
from service.generation.limits import EngineLimits
from service.generation.request import GenerationEvent, GenerationRequest, SamplingParams
from training.export import export
from training.networks.decoder import Decoder, DecoderConfig
from training.networks.slot_plan import first_prompts, slot_plan

VOCABULARY = 61
CONTEXT = 96


@dataclass(frozen=True)
class TinyModel:
    decoder: Decoder
    file: bytes
    graph: DecoderGraph


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    torch.manual_seed(7)
    config = DecoderConfig(
        context=CONTEXT, width=64, layers=2, heads=4, kv_heads=2, hidden=48, tied_head=False
    )
    decoder = Decoder(config, VOCABULARY).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.15)
    file = tmp_path_factory.mktemp("tiny") / "model.onnx"
    example = np.random.default_rng(0).integers(0, VOCABULARY, (2, 9))
    export(slot_plan(decoder, lengths=(4, 9)), first_prompts(example, config), file)
    data = file.read_bytes()
    return TinyModel(decoder, data, open_graph(data))


@pytest.fixture
def make_engine(tiny: TinyModel) -> Callable[..., SlotEngine]:
    def make(
        slots: int = 4,
        chunk: int = 8,
        waiting: int = 1000,
        clock: Callable[[], float] = time.monotonic,
        **limits: int,
    ) -> SlotEngine:
        named = {"max_waiting": waiting, "prefill_chunk_tokens": chunk}
        made = EngineLimits(CONTEXT, slots, **named, **limits)
        return SlotEngine(tiny.graph, made, clock=clock)

    return make


@dataclass
class Answer:
    """Everything the engine said about one request."""

    tokens: list[int]
    events: list[GenerationEvent]

    @property
    def reason(self) -> str | None:
        return self.events[-1].finish_reason if self.events else None


def request(prompt: Sequence[int], **sampling: object) -> GenerationRequest:
    return GenerationRequest(tuple(prompt), SamplingParams(**sampling))  # type: ignore[arg-type]


def collect(answers: dict[int, Answer], events: list[tuple[int, GenerationEvent]]) -> None:
    for request_id, event in events:
        answer = answers.setdefault(request_id, Answer([], []))
        assert answer.reason is None, "an event after the last one"
        answer.events.append(event)
        answer.tokens.extend(event.token_ids)


def run_alone(engine: SlotEngine, wanted: GenerationRequest) -> Answer:
    """The reference: the request by itself, prompt fed whole."""
    answers: dict[int, Answer] = {}
    engine.submit(0, wanted)
    while not engine.is_idle:
        collect(answers, engine.step())
    return answers[0]
