"""Generated dialogues: the same for a seed, answered by rule, and nothing held out is ever learned."""

import re
from collections import Counter

import pytest

from training.data.conversations import Conversation
from training.data.dialogues import make_dialogues

Sides = tuple[list[Conversation], list[Conversation]]


@pytest.fixture(scope="module")
def sides() -> Sides:
    return make_dialogues(0, 0.1)


def asked(conversation: Conversation) -> str:
    """Everything that decides the answer: what the user and tools said, and which tools there are."""
    said = [entry["content"] for entry in conversation.messages[:-1] if entry["role"] != "system"]
    return repr((said, conversation.tools is not None))


def bare(text: str) -> str:
    return re.sub(r"Please tell me\. |I have a question\. ", "", text)


def test_a_seed_gives_the_same_dialogues(sides: Sides) -> None:
    assert make_dialogues(0, 0.1) == sides
    assert make_dialogues(1, 0.1) != sides


def test_no_held_out_question_is_learned_at_any_turn(sides: Sides) -> None:
    learned, held_out = sides
    known = {
        bare(asked(Conversation(entry.messages[: place + 1], entry.tools)))
        for entry in learned
        for place, message in enumerate(entry.messages)
        if message["role"] == "assistant"
    }
    assert held_out
    assert not [entry for entry in held_out if bare(asked(entry)) in known]


def test_a_new_sum_was_learned_in_no_wording(sides: Sides) -> None:
    learned, held_out = sides
    known = {entry.answer for entry in learned}
    new = {entry.answer for entry in held_out if entry.topic == "new sums"}
    assert len(new) > 8
    assert not new & known
    assert {entry.answer for entry in held_out if entry.topic == "sums"} <= known


def test_sums_are_right_and_names_are_remembered(sides: Sides) -> None:
    for entry in (*sides[0], *sides[1]):
        if entry.topic.endswith("sums"):
            first, sign, second, result = re.findall(r"\d+|plus|minus", entry.answer)
            expected = int(first) + int(second) * (1 if sign == "plus" else -1)
            assert int(result) == expected
        if entry.answer.startswith("Your name is "):
            assert entry.answer[13:-1] in entry.question


def test_every_topic_has_something_held_out(sides: Sides) -> None:
    learned, held_out = (Counter(entry.topic for entry in side) for side in sides)
    assert set(learned) - {"hello"} == set(held_out) - {"new sums"}
    assert min(held_out.values()) >= 8
