"""The door: what needs the loaded model is checked, refusals have numbers, important requests find room."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.errors import BadRequest, QueueFull
from service.generation.engine import SlotEngine
from service.generation.request import Constraint
from tests.service.generation.conftest import CONTEXT, VOCABULARY, Answer, collect, request

MakeEngine = Callable[..., SlotEngine]


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ([VOCABULARY], f"{VOCABULARY} is outside"),
        ([1, 2, 10**6], "1000000 is outside"),
        ([1] * CONTEXT, f"{CONTEXT} tokens; this model takes at most {CONTEXT - 1}"),
    ],
)
def test_what_the_model_cannot_read_is_refused_with_numbers(
    make_engine: MakeEngine, prompt: list[int], names: str
) -> None:
    engine = make_engine()
    with pytest.raises(BadRequest, match=names):
        engine.submit(0, request(prompt))
    assert engine.is_idle


def test_what_only_an_encoder_could_use_is_refused(make_engine: MakeEngine) -> None:
    engine = make_engine()
    with pytest.raises(BadRequest, match="encoder"):
        engine.submit(0, replace(request([1, 2]), source_ids=(1,)))
    with pytest.raises(BadRequest, match="encoder"):
        engine.submit(0, request([1, 2], num_beams=4))


def test_a_constraint_needs_a_tokenizer(make_engine: MakeEngine) -> None:
    with pytest.raises(BadRequest, match="tokenizer"):
        make_engine().submit(0, request([1], constraint=Constraint("regex", "a+")))


def test_a_full_queue_makes_room_for_a_more_important_request(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=1, waiting=2, priority_levels=3)
    wanted = [replace(request([1], max_tokens=2), priority=level) for level in (2, 3, 1)]
    for index, entry in enumerate(wanted):
        engine.submit(index, entry)
    with pytest.raises(QueueFull):
        engine.submit(3, replace(wanted[1], priority=3))
    order: list[int] = []
    answers: dict[int, Answer] = {}
    while not engine.is_idle:
        events = engine.step()
        collect(answers, events)
        order += [index for index, event in events if event.finish_reason is not None]
    assert order == [1, 2, 0]
    assert answers[1].events[-1].code == "queue_full"
    assert answers[1].events[-1].retry_after_s
    assert engine.take_stats().ended == {"displaced": 1, "length": 2}


def test_stop_tokens_that_are_ignored_are_part_of_the_answer(make_engine: MakeEngine) -> None:
    plain = request([5, 6], max_tokens=6, temperature=0.0)
    engine = make_engine()
    answers: dict[int, Answer] = {}
    engine.submit(0, plain)
    while not engine.is_idle:
        collect(answers, engine.step())
    stop = answers[0].tokens[2]
    ignoring = request(
        [5, 6], max_tokens=6, temperature=0.0, stop_token_ids=(stop,), ignore_stop=True
    )
    engine.submit(1, ignoring)
    while not engine.is_idle:
        collect(answers, engine.step())
    assert answers[1].tokens == answers[0].tokens


def test_time_that_was_over_at_arrival_ends_the_request_before_it_takes_a_slot(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(clock=lambda: 7.0)
    engine.submit(0, replace(request([1, 2]), deadline_s=0.0))
    [(_, event)] = engine.step()
    assert (event.finish_reason, event.token_ids) == ("deadline", ())
    assert engine.is_idle
