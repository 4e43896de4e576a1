"""Paraphrases made by a grammar: sentence embedding's and similarity's data without a download.

An event has five parts (who, did what, what, where, when). A sentence tells it in one of several frames
(active, passive, cleft, the time or the place first), each part in one of its synonyms. Two sentences of one
event are a positive pair; events that share some parts give scores, of 5 points one for each shared part;
an event that shares all but one gives the negative of a triplet. Everything follows from the seed, and no
two rows begin with the same event.

What this is not: a sample of what people write. A figure measured here says that a network can learn that
words mean the same and that one changed part matters, nothing about real sentences.
"""

from collections.abc import Iterator
from random import Random
from typing import Final

import numpy as np

from training.data.text_pairs import Kind, PairData, Pairs

Event = tuple[int, ...]

_WHO: Final = (
    ("the doctor", "the physician"), ("the teacher", "the schoolmaster"), ("a lawyer", "an attorney"),
    ("the child", "the youngster"), ("my father", "my dad"), ("my mother", "my mum"),
    ("the police officer", "the constable"), ("a writer", "an author"), ("the chef", "the cook"),
    ("a sailor", "a seaman"), ("the manager", "the boss"), ("a farmer", "a peasant"),
    ("the pilot", "the aviator"), ("the actor", "the performer"), ("our neighbour", "the man next door"),
    ("the queen", "her majesty"), ("a student", "a pupil"), ("the engineer", "the technician"),
)  # fmt: skip
_DID: Final = (
    ("bought", "purchased"), ("repaired", "fixed"), ("found", "discovered"), ("lost", "mislaid"),
    ("sold", "put on sale"), ("built", "constructed"), ("broke", "smashed"), ("cleaned", "washed"),
    ("hid", "concealed"), ("painted", "coloured"), ("borrowed", "took on loan"), ("stole", "robbed"),
)  # fmt: skip
_DONE: Final = (
    ("bought", "purchased"), ("repaired", "fixed"), ("found", "discovered"), ("lost", "mislaid"),
    ("sold", "put on sale"), ("built", "constructed"), ("broken", "smashed"), ("cleaned", "washed"),
    ("hidden", "concealed"), ("painted", "coloured"), ("borrowed", "taken on loan"), ("stolen", "robbed"),
)  # fmt: skip
_WHAT: Final = (
    ("a car", "an automobile"), ("a bicycle", "a bike"), ("the sofa", "the couch"), ("a picture", "an image"),
    ("the boat", "the ship"), ("a coat", "a jacket"), ("the radio", "the wireless"),
    ("a ring", "a band of gold"),
    ("the gate", "the door"), ("a lamp", "a light"), ("the carpet", "the rug"), ("a bag", "a sack"),
    ("the clock", "the timepiece"), ("a gun", "a firearm"), ("the fence", "the railing"), ("a cup", "a mug"),
)  # fmt: skip
_WHERE: Final = (
    ("in the city", "in town"), ("in the woods", "in the forest"), ("at the seaside", "on the coast"),
    ("at home", "in the house"), ("in the shop", "in the store"), ("by the road", "next to the street"),
    ("at school", "in class"), ("in the cellar", "in the basement"), ("in the yard", "in the garden"),
    ("on the hill", "up the slope"),
)  # fmt: skip
_WHEN: Final = (
    ("in the morning", "before noon"), ("in the evening", "after sunset"), ("in autumn", "in the fall"),
    ("at the weekend", "on Saturday"), ("last year", "twelve months ago"), ("recently", "not long ago"),
    ("at midnight", "in the middle of the night"), ("in July", "in the height of summer"),
)  # fmt: skip
_PARTS: Final = (_WHO, _DID, _WHAT, _WHERE, _WHEN)
_FRAMES: Final = (
    "{who} {did} {what} {where} {when}",
    "{when} {who} {did} {what} {where}",
    "{where} {who} {did} {what} {when}",
    "{what} was {done} by {who} {where} {when}",
    "{when} {what} was {done} {where} by {who}",
    "it was {who} who {did} {what} {where} {when}",
    "it was {when} that {who} {did} {what} {where}",
)
HIGHEST_SCORE: Final = len(_PARTS)


def load_paraphrases(
    seed: int, kind: Kind, train: int = 4000, validation: int = 400, test: int = 500
) -> PairData:
    """So many rows of the kind; beside positive pairs and triplets as many scored pairs to judge by."""
    dice = Random(seed)
    events = _distinct_events(dice)
    first, second, third = (_rows(dice, events, kind, count) for count in (train, validation, test))
    graded = None if kind == "scored" else _rows(dice, events, "scored", test)
    return PairData("generated paraphrases", kind, first, second, third, graded)


def sentence(dice: Random, event: Event) -> str:
    """One way to tell the event."""
    who, did, what, where, when = event
    verb = dice.randrange(2)
    told = dice.choice(_FRAMES).format(
        who=dice.choice(_WHO[who]),
        did=_DID[did][verb],
        done=_DONE[did][verb],
        what=dice.choice(_WHAT[what]),
        where=dice.choice(_WHERE[where]),
        when=dice.choice(_WHEN[when]),
    )
    return f"{told[0].upper()}{told[1:]}."


def _distinct_events(dice: Random) -> Iterator[Event]:
    """Without end, as good as: there are 276,480 of them."""
    seen: set[Event] = set()
    while True:
        event = tuple(dice.randrange(len(part)) for part in _PARTS)
        if event not in seen:
            seen.add(event)
            yield event


def _rows(dice: Random, events: Iterator[Event], kind: Kind, count: int) -> Pairs:
    first: list[str] = []
    second: list[str] = []
    scores: list[float] = []
    negatives: list[str] = []
    while len(first) < count:
        event = next(events)
        shared = len(_PARTS) if kind != "scored" else dice.randrange(len(_PARTS) + 1)
        texts = sentence(dice, event), sentence(dice, _changed(dice, event, shared))
        if texts[0] == texts[1]:
            continue
        first.append(texts[0])
        second.append(texts[1])
        if kind == "scored":
            scores.append(float(shared))
        elif kind == "triplet":
            negatives.append(sentence(dice, _changed(dice, event, len(_PARTS) - 1)))
    return Pairs(tuple(first), tuple(second), np.array(scores, np.float32), tuple(negatives))


def _changed(dice: Random, event: Event, shared: int) -> Event:
    """An event that has exactly `shared` parts in common with this one."""
    changed = list(event)
    for part in dice.sample(range(len(_PARTS)), len(_PARTS) - shared):
        others = [number for number in range(len(_PARTS[part])) if number != event[part]]
        changed[part] = dice.choice(others)
    return tuple(changed)
