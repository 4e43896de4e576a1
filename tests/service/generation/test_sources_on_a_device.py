"""Encoder–decoders whose cache and sources lie on a device, with this process's memory in the GPU's place."""

import numpy as np
import pytest

from models.runtimes.base import ProviderMissing
from models.runtimes.onnxruntime.device import Target
from models.runtimes.onnxruntime.providers import NAMES
from service.generation.encoder_graph import ENCODER_FILE, open_encoder
from service.generation.graph import Place
from service.generation.kv_memory import DeviceMemory
from service.generation.request import GenerationRequest
from service.generation.source_memory import DeviceSourceMemory
from tests.service.generation.conftest import Answer, collect
from tests.service.generation.test_kv_memory import HostCopies, on_device
from tests.service.generation.translators import KINDS, asked, translator

__all__ = ["on_device"]


def requests() -> list[GenerationRequest]:
    """Sources of many lengths, so that the layout grows and shrinks; greedy and with beams."""
    dice = np.random.default_rng(2)
    return [
        asked(
            dice.integers(0, 256, int(dice.integers(1, 75))).tolist(),
            num_beams=(1, 3, 1, 2)[number % 4],
            max_tokens=(4, 20, 9)[number % 3],
        )
        for number in range(20)
    ]


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[] if k == "transformer" else pytest.mark.slow) for k in KINDS]
)
def test_answers_are_the_references(kind: str, on_device: HostCopies) -> None:
    model = translator(kind)
    engine = model.engine(slots=6)
    assert isinstance(engine.cache._memory, DeviceMemory)
    assert engine.cache.source
    assert isinstance(engine.cache.source.memory, DeviceSourceMemory)
    answers: dict[int, Answer] = {}
    for number, request in enumerate(requests()):
        engine.submit(number, request)
        collect(answers, engine.step())
    while not engine.is_idle:
        collect(answers, engine.step())
    for number, request in enumerate(requests()):
        assert answers[number].tokens == list(model.reference(request).tokens), number
    assert on_device.finished == on_device.copies


def test_an_encoder_whose_device_does_not_start_is_an_error() -> None:
    model = translator("transformer")
    file = (model.folder / ENCODER_FILE).read_bytes()
    place = Place([NAMES["cpu"]], Target("cuda", 0), "no libcublas")
    with pytest.raises(ProviderMissing, match="could not start on this machine: no libcublas"):
        open_encoder(file, model.decoder, place=place)
