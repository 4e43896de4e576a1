"""Short dialogues with one right answer each, made on the spot: what the small chat model learns.

Greetings, sums, currencies and names of countries in other languages (CLDR, through Babel), the order of
days and months, spelling, colours, questions that only the turn before explains, calls of a weather
function, and what nobody can know, to which the answer is that it is not known.

What is held out. Every dialogue belongs to a combination, mostly of a fact (or sum) and a way to ask for
it; a combination is on one side of the split, whatever surrounds it. So most held-out questions are of
facts that were learned in other words. Two topics are harder: `new sums` were never seen in any wording,
which tells calculating from remembering, and invented places bear names never seen at all.

What this is not: knowledge. Outside of these topics and wordings the model talks nonsense.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from random import Random

from training.data import dialogue_facts as facts
from training.data.conversations import Conversation, Message

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
_OPENINGS = ("", "", "", "Please tell me. ", "I have a question. ")
_SYSTEM = "You are a helpful assistant."
_LARGEST = 12  # of the numbers in sums


@dataclass(frozen=True)
class _Exchange:
    """One dialogue: `turns` are question and answer by turns; `key` is the combination."""

    topic: str
    key: str
    turns: tuple[str, ...]


def make_dialogues(seed: int, held_out: float) -> tuple[list[Conversation], list[Conversation]]:
    """All there is to learn, and what is held out, each in an order of its own."""
    random = Random(seed)
    sides: tuple[list[Conversation], list[Conversation]] = ([], [])
    for exchange in _exchanges(Random(seed), f"{seed}/new sums", held_out / 2):
        side = sides[_position(f"{seed}/{exchange.topic}/{exchange.key}") < held_out]
        side.append(_decorated(exchange, random))
    for city in facts.CITIES:
        for wording in facts.WEATHER:
            is_held_out = _position(f"{seed}/tools/{city}/{wording}") < held_out
            sides[is_held_out].extend(_weather(city, wording, random))
    for side in sides:
        random.shuffle(side)
    return sides


def _position(key: str) -> float:
    """Where a combination lies between 0 and 1; depends on nothing else."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64


def _decorated(exchange: _Exchange, random: Random) -> Conversation:
    """With what people put around a question, and now and then a system message."""
    turns = list(exchange.turns)
    if exchange.topic != "greetings" and len(turns) == 2:
        turns[0] = random.choice(_OPENINGS) + turns[0]
    messages: list[Message] = [
        {"role": "assistant" if place % 2 else "user", "content": text}
        for place, text in enumerate(turns)
    ]
    if random.random() < 0.15:
        messages.insert(0, {"role": "system", "content": _SYSTEM})
    return Conversation(tuple(messages), topic=exchange.topic)


def _exchanges(random: Random, new_sums: str, new_share: float) -> Iterator[_Exchange]:
    yield from _greetings()
    for key, question, answer in _sums():
        if _position(f"{new_sums}/{key}") < new_share:  # which its own split holds out as well
            yield _Exchange("new sums", key, (question, answer))
        else:
            yield _Exchange("sums", f"{key}/{question}", (question, answer))
    yield from _asked("currencies", facts.CURRENCY, facts.currencies())
    yield from _asked("translations", facts.TRANSLATION, facts.translations())
    yield from _asked("calendar", facts.CALENDAR, facts.calendar())
    yield from _asked("spelling", facts.SPELLING, facts.spellings())
    yield from _asked("colours", facts.COLOUR, facts.COLOURS.items())
    yield from _follow_ups(random)
    yield from _unknown(random)


def _asked(
    topic: str, wordings: tuple[tuple[str, str], ...], known: facts.Facts
) -> Iterator[_Exchange]:
    """Every fact in every wording; `{0}` is what is asked for, `{1}` what is known of it."""
    for subject, value in known:
        for question, answer in wordings:
            turns = question.format(subject, value), answer.format(subject, value)
            yield _Exchange(topic, f"{subject}/{question}", turns)


def _greetings() -> Iterator[_Exchange]:
    for name in facts.NAMES:
        for wording in facts.GREETING:
            answer = f"Hello, {name}! How can I help you?"
            yield _Exchange("greetings", f"{name}/{wording}", (wording.format(name), answer))
    for hello in facts.HELLO:
        # A single answer, which nothing could be held out of without losing it.
        yield _Exchange("hello", "all", (hello, "Hello! How can I help you?"))


def _sums() -> Iterator[tuple[str, str, str]]:
    """Which numbers, question, answer."""
    numbers = range(_LARGEST + 1)
    for first, second in product(numbers, numbers):
        for wording in facts.PLUS:
            answer = f"{first} plus {second} is {first + second}."
            yield f"{first}+{second}", wording.format(first, second), answer
        for wording in facts.MINUS if first >= second else ():
            answer = f"{first} minus {second} is {first - second}."
            yield f"{first}-{second}", wording.format(first, second), answer


def _follow_ups(random: Random) -> Iterator[_Exchange]:
    for name in facts.NAMES:
        for number, question in enumerate(facts.RECALL):
            yield _Exchange(
                "follow-ups",
                f"{name}/{number}",
                (
                    facts.INTRODUCTION.format(name),
                    f"Hello, {name}! How can I help you?",
                    question,
                    f"Your name is {name}.",
                ),
            )
    known = list(facts.currencies())
    _, answer = facts.CURRENCY[0]
    for place, currency in known:
        for other, its_currency in random.sample(known, 4):
            if other != place:
                yield _Exchange(
                    "follow-ups",
                    f"{place}/{other}",
                    (
                        facts.MONEY.format(place),
                        answer.format(place, currency),
                        random.choice(facts.AND_OF).format(other),
                        answer.format(other, its_currency),
                    ),
                )


def _unknown(random: Random) -> Iterator[_Exchange]:
    for place in facts.invented_places(random):
        question, _ = random.choice(facts.CURRENCY)
        yield _Exchange("unknown", place, (question.format(place), facts.DO_NOT_KNOW))
    for city in facts.CITIES:
        for wording in facts.WEATHER:
            turns = wording.format(city), facts.NO_WEATHER
            yield _Exchange("unknown", f"{city}/{wording}", turns)


def _weather(city: str, wording: str, random: Random) -> Iterator[Conversation]:
    """The call of the function, and what is said when its result is there."""
    call = {"name": "get_weather", "arguments": {"city": city}}
    asked: list[Message] = [
        {"role": "user", "content": wording.format(city)},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": call}],
        },
    ]
    yield Conversation(tuple(asked), (WEATHER_TOOL,), "tool calls")
    degrees = random.randint(-10, 35)
    told: list[Message] = [
        {"role": "tool", "content": f'{{"temperature": {degrees}}}'},
        {"role": "assistant", "content": f"It is {degrees} degrees in {city}."},
    ]
    yield Conversation((*asked, *told), (WEATHER_TOOL,), "tool results")
