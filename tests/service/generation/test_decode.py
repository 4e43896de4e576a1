"""Guessing ahead: the tokens of plain decoding, in fewer runs, and only where one row is alone."""

from collections.abc import Callable

import numpy as np
import pytest

from service.generation.engine import SlotEngine
from tests.service.generation.conftest import Answer, collect, request, run_alone
from tests.service.generation.invariants import assert_invariants

MakeEngine = Callable[..., SlotEngine]


def runs_of(engine: SlotEngine, wanted: object) -> tuple[Answer, int]:
    answers: dict[int, Answer] = {}
    engine.submit(0, wanted)  # type: ignore[arg-type]
    steps = 0
    while not engine.is_idle:
        collect(answers, engine.step())
        assert_invariants(engine)
        steps += 1
    return answers[0], steps


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0.0},
        {"temperature": 0.7, "top_k": 8, "seed": 5},
        {"temperature": 0.0, "frequency_penalty": 0.1, "logprobs": 2},
        {"temperature": 0.4, "seed": 3, "stop_token_ids": (7, 9)},
    ],
)
def test_guessed_tokens_are_those_of_plain_decoding(
    make_engine: MakeEngine, sampling: dict[str, object]
) -> None:
    accepted = 0
    for seed in range(6):
        prompt = np.random.default_rng(seed).integers(0, 12, 24).tolist()
        wanted = request(prompt, max_tokens=60, **sampling)
        engine = make_engine(slots=3, lookup_tokens=4)
        guessed, steps = runs_of(engine, wanted)
        plain, plain_steps = runs_of(make_engine(slots=3), wanted)
        assert (guessed.tokens, guessed.reason) == (plain.tokens, plain.reason)
        stats = engine.take_stats()
        assert 0 <= stats.lookup_accepted_tokens <= stats.lookup_proposed_tokens
        assert plain_steps - steps == stats.lookup_accepted_tokens
        assert stats.decode_tokens >= len(plain.tokens) - 1
        accepted += stats.lookup_accepted_tokens
    assert accepted > 0, "no guess was ever right: nothing was tested"


def test_it_is_off_unless_asked_for_and_while_others_run(make_engine: MakeEngine) -> None:
    repeated = request([1, 2, 3] * 8, max_tokens=20, temperature=0.0)
    off = make_engine()
    run_alone(off, repeated)
    assert off.take_stats().lookup_proposed_tokens == 0
    busy = make_engine(lookup_tokens=4)
    busy.submit(0, repeated)
    busy.submit(1, repeated)
    while len(busy.rows) < 2:
        busy.step()
    busy.take_stats()
    while len(busy.rows) == 2:
        assert busy.take_stats().lookup_proposed_tokens == 0
        busy.step()


def test_a_check_that_breaks_falls_back_to_one_token(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = request([1, 2, 3] * 8, max_tokens=20, temperature=0.0)
    engine = make_engine(lookup_tokens=4)

    def broken(*_: object) -> np.ndarray:
        raise RuntimeError("the run failed")

    monkeypatch.setattr(engine.cache, "feed_scored", broken)
    assert run_alone(engine, wanted).tokens == run_alone(make_engine(), wanted).tokens
