"""Memory of the cache: committed where it is used, given back when others need it."""

from collections.abc import Callable

import numpy as np

from service.generation.cache import SlotCache
from service.generation.engine import SlotEngine
from service.generation.limits import EngineLimits
from tests.service.generation.conftest import CONTEXT, TinyModel, collect, request, run_alone
from tests.service.generation.invariants import assert_invariants

MakeEngine = Callable[..., SlotEngine]


def test_what_is_given_back_reads_as_zero_and_the_rest_stays(tiny: TinyModel) -> None:
    cache = SlotCache(tiny.graph, rows=3, length=4096)
    for tensor in cache.tensors:
        tensor[:] = 1.0
    cache.give_back(1, 256)
    for tensor in cache.tensors:
        assert (tensor[0] == 1.0).all()
        assert (tensor[2] == 1.0).all()
        assert (tensor[1, :, :256] == 1.0).all()
        assert not tensor[1, :, 256:].any()
    cache.give_back(2, 0)
    for tensor in cache.tensors:
        assert not tensor[2].any()


def test_a_row_of_odd_size_gives_back_whole_pages_of_its_own_only(tiny: TinyModel) -> None:
    cache = SlotCache(tiny.graph, rows=3, length=1000)
    for tensor in cache.tensors:
        tensor[:] = 1.0
    cache.give_back(1, 77)
    for tensor in cache.tensors:
        assert (tensor[[0, 2]] == 1.0).all()
        assert (tensor[1, :, :77] == 1.0).all()


def test_requests_wait_until_what_they_may_need_is_free(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=4, kv_memory_bytes=2 * 32_768)  # two requests, whatever their length
    answers: dict = {}
    for index in range(5):
        engine.submit(index, request([1] * 10, max_tokens=8, temperature=0.0))
    most = 0
    while not engine.is_idle:
        collect(answers, engine.step())
        assert_invariants(engine)
        most = max(most, len(engine.rows))
    assert most == 2
    assert [answers[index].reason for index in range(5)] == ["length"] * 5


def test_a_context_beyond_the_memory_is_cut_to_it(tiny: TinyModel) -> None:
    limits = EngineLimits(4096, slots=2, kv_memory_bytes=32_768)
    engine = SlotEngine(tiny.graph, limits)
    assert engine.cache.length == engine.ledger.total_tokens == 128


def test_places_that_ended_requests_have_touched_do_not_add_up(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=6, kv_memory_bytes=2 * 32_768)
    for round_ in range(12):
        for index in range(3):
            engine.submit(10 * round_ + index, request([1] * (5 + index), max_tokens=3 + index))
        while not engine.is_idle:
            engine.step()
            assert_invariants(engine)
    wanted = request(np.arange(CONTEXT - 20).tolist()[:50], max_tokens=10, temperature=0.0)
    assert run_alone(engine, wanted).tokens == run_alone(make_engine(), wanted).tokens
