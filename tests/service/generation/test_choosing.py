"""A sampler that breaks spoils its own request."""

from collections.abc import Callable

import pytest

from service.generation.engine import SlotEngine
from service.generation.sampling import RowSampler
from tests.service.generation.conftest import Answer, collect, request, run_alone
from tests.service.generation.invariants import assert_invariants


@pytest.mark.parametrize("method", ["choose", "accept"])
def test_a_defect_in_one_sampler_fails_one_request(
    make_engine: Callable[..., SlotEngine], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    engine = make_engine()
    wanted = [request([index + 1] * 4, max_tokens=8, temperature=0.0) for index in range(3)]
    for index, entry in enumerate(wanted):
        engine.submit(index, entry)
    guilty = engine.requests.find(1)
    assert guilty is not None
    true = getattr(RowSampler, method)

    def broken(sampler: RowSampler, *given: object) -> object:
        if sampler is guilty.sampler:
            raise ZeroDivisionError("a defect of ours")
        return true(sampler, *given)

    monkeypatch.setattr(RowSampler, method, broken)
    answers: dict[int, Answer] = {}
    while not engine.is_idle:
        collect(answers, engine.step())
        assert_invariants(engine)
    monkeypatch.undo()
    assert (answers[1].reason, answers[1].events[-1].code) == ("error", "inference_failed")
    for index in (0, 2):
        assert answers[index].tokens == run_alone(make_engine(), wanted[index]).tokens
