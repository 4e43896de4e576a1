"""The cache on a device: the same path as on a GPU, with this process's memory in the GPU's place."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.errors import DeviceLost, InferenceFailed
from models.runtimes.onnxruntime.cuda_copies import CudaCopies
from service.generation.cache import SlotCache
from service.generation.engine import SlotEngine
from service.generation.graph import DecoderGraph
from service.generation.kv_memory import DeviceMemory, HostMemory
from service.generation.request import GenerationRequest, SamplingParams
from tests.service.generation.conftest import VOCABULARY, Answer, TinyModel, collect


class HostCopies:
    """What CUDA does by address, done by the C library."""

    def __init__(self) -> None:
        self.copies = self.finished = 0

    def copy_2d(
        self, target: int, source: int, pitches: tuple[int, int], width: int, height: int
    ) -> None:
        for line in range(height):
            ctypes.memmove(target + line * pitches[0], source + line * pitches[1], width)
        self.copies += 1

    def put(self, target: int, source: int, size_bytes: int) -> None:
        ctypes.memmove(target, source, size_bytes)

    def fetch(self, target: int, source: int, size_bytes: int) -> None:
        ctypes.memmove(target, source, size_bytes)

    def finish(self) -> None:
        self.finished = self.copies


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> HostCopies:
    """Every cache from here on is one of a device."""
    copies = HostCopies()

    def memory(graph: DecoderGraph, rows: int, length: int) -> DeviceMemory:
        return DeviceMemory(graph, rows, length, copies)

    monkeypatch.setattr("service.generation.cache._memory_of", memory)
    return copies


def answers_of(engine: SlotEngine, count: int = 24) -> dict[int, list[int]]:
    """Requests of many lengths that join and leave at different times; each one's tokens."""
    dice = np.random.default_rng(3)
    answers = {number: Answer([], []) for number in range(count)}
    for number in range(count):
        prompt = tuple(dice.integers(0, VOCABULARY, dice.integers(1, 40)).tolist())
        sampling = SamplingParams(max_tokens=int(dice.integers(1, 30)), seed=number)
        engine.submit(number, GenerationRequest(prompt, sampling))
        for _ in range(int(dice.integers(0, 4))):
            collect(answers, engine.step())
    while not engine.is_idle:
        collect(answers, engine.step())
    return {number: answer.tokens for number, answer in answers.items()}


def test_answers_are_those_of_a_cache_on_the_host(
    make_engine: Callable[..., SlotEngine], on_device: HostCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = make_engine(slots=3, chunk=8)
    found = answers_of(device)
    assert isinstance(device.cache._memory, DeviceMemory)
    assert on_device.copies > 0
    assert on_device.finished == on_device.copies, "a run may not begin before a copy has ended"
    monkeypatch.undo()
    host = make_engine(slots=3, chunk=8)
    assert answers_of(host) == found
    assert isinstance(host.cache._memory, HostMemory)
    assert sum(map(len, found.values())) > 200


def test_steps_see_new_tokens_and_lengths_although_a_binding_copies(
    tiny: TinyModel, on_device: HostCopies
) -> None:
    """On a device what is bound is a copy of the moment: two steps through one binding differ."""
    assert on_device.copies == 0
    device = SlotCache(tiny.graph, 2, 32)
    host = SlotCache(tiny.graph, 2, 32, memory=HostMemory(tiny.graph, 2, 32))
    prompt = np.arange(5, dtype=np.int64)
    for cache in (device, host):
        for row in range(2):
            cache.feed(row, 0, prompt + row)
            cache.ids[row], cache.lengths[row] = 7 + row, 5
    for step in range(3):
        found, wanted = device.decode(2).copy(), host.decode(2).copy()
        np.testing.assert_array_equal(found, wanted)
        for cache in (device, host):
            cache.ids[:] = 11 + step
            cache.lengths += 1


def test_a_device_gives_nothing_to_the_prefix_cache_and_nothing_back(
    tiny: TinyModel, on_device: HostCopies
) -> None:
    cache = SlotCache(tiny.graph, 2, 32)
    assert cache.tensors == []
    assert (
        cache.size_bytes
        == SlotCache(tiny.graph, 2, 32, memory=HostMemory(tiny.graph, 2, 32)).size_bytes
    )
    logits = cache.feed(0, 0, np.arange(6, dtype=np.int64)).copy()
    cache.give_back(0, 0)
    cache.move(0, 1, 6)
    again = cache.feed(1, 4, np.array([4, 5], np.int64))
    np.testing.assert_allclose(again, logits, atol=1e-4)
    assert on_device.copies == len(tiny.graph.cache_names)


# -- CUDA's own copies -----------------------------------------------------------------------------


class FakeCuda:
    """The CUDA runtime library, which only remembers."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.calls: list[tuple[str, tuple[int | None, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            self.calls.append((name, tuple(one.value for one in arguments)))
            return self.code

        return call


def test_cuda_is_asked_for_strided_copies_within_the_device_and_plain_ones_out_of_it() -> None:
    cuda = FakeCuda()
    copies = CudaCopies(2, cuda)
    copies.copy_2d(0x2000, 0x1000, pitches=(512, 256), width=96, height=4)
    copies.finish()
    copies.fetch(0x9000, 0x3000, 48)
    copies.put(0x3000, 0x9000, 48)
    assert cuda.calls == [
        ("cudaSetDevice", (2,)),
        ("cudaMemcpy2D", (0x2000, 512, 0x1000, 256, 96, 4, 3)),
        ("cudaDeviceSynchronize", ()),
        ("cudaSetDevice", (2,)),
        ("cudaMemcpy", (0x9000, 0x3000, 48, 2)),
        ("cudaSetDevice", (2,)),
        ("cudaMemcpy", (0x3000, 0x9000, 48, 1)),
        ("cudaDeviceSynchronize", ()),
    ]


@pytest.mark.parametrize(("code", "kind"), [(700, DeviceLost), (1, InferenceFailed)])
def test_a_copy_that_fails_is_one_of_our_errors(code: int, kind: type[Exception]) -> None:
    cuda = FakeCuda(code)
    with pytest.raises(kind):
        CudaCopies(0, cuda).copy_2d(1, 2, (3, 3), 4, 5)
    assert cuda.calls[-1] == ("cudaGetLastError", ()), (
        "else the runtime finds it after its next kernel"
    )
