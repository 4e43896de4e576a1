"""Short opinions made by a grammar: is it praise or blame? Text classification's data without a download.

A sentence says of a thing that it is good or bad, through an adjective, often turned round by a negation
("far from dull"), and often beside the opposite opinion about something else; then the clause after
"but" counts, or the one without "although". So the words alone do not decide; their order does.
Everything follows from the seed, and no sentence stands in two splits.

What this is not: a sample of what people write. A figure measured here says that a network can read word
order and negation, nothing about real reviews.
"""

from random import Random
from typing import Final

import numpy as np

from training.data.labelled_text import LabelledText, TextData
from training.errors import DataError

CLASSES: Final = ("negative", "positive")
_THINGS: Final = (
    "the film", "the plot", "the ending", "the music", "the hotel", "our room", "the bed", "the view",
    "the soup", "the bread", "the coffee", "the service", "the waiter", "this phone", "the screen",
    "the battery", "the book", "the first chapter", "the translation", "the train", "the seat",
    "the guide", "the exhibition", "the concert", "the lecture", "the software", "the manual",
)  # fmt: skip
_GOOD: Final = (
    "good", "great", "lovely", "clever", "fresh", "warm", "bright", "charming", "delightful", "moving",
    "brilliant", "comfortable", "helpful", "fine", "splendid", "witty", "gripping", "tasty",
)  # fmt: skip
_BAD: Final = (
    "bad", "dull", "awful", "stale", "cold", "boring", "clumsy", "noisy", "shallow", "dreadful",
    "confusing", "useless", "slow", "poor", "dirty", "tedious", "bland", "rude",
)  # fmt: skip
_PLAIN: Final = ("", "", "really ", "quite ", "very ", "simply ", "surprisingly ")
_TURNED: Final = ("not ", "never ", "hardly ", "far from ", "anything but ", "by no means ")
_FRAMES: Final = (
    "{thing} was {turn}{word}",
    "{thing} is {turn}{word}",
    "i found {thing} {turn}{word}",
)
_DENIALS: Final = ("nobody would call {thing} {word}", "i cannot say that {thing} was {word}")
_PAIRS: Final = (
    "{other} , but {counts}",
    "although {other} , {counts}",
    "{counts} , although {other}",
)
_ATTEMPTS: Final = 40  # sentences tried for each one wanted: many are repeated


def load_opinions(seed: int, train: int = 4000, validation: int = 300, test: int = 500) -> TextData:
    """As many sentences as asked for, half of them praise. Raises DataError when there are not so many."""
    dice = Random(seed)
    wanted = {"train": train, "validation": validation, "test": test}
    seen: dict[str, int] = {}
    needed = sum(wanted.values())
    for _ in range(needed * _ATTEMPTS):
        if len(seen) == needed:
            break
        label = len(seen) % 2
        seen.setdefault(_sentence(dice, label), label)
    if len(seen) < needed:
        raise DataError(f"the grammar of opinions has no {needed:,} sentences: ask for fewer")
    sentences = list(seen.items())
    dice.shuffle(sentences)
    splits, start = [], 0
    for count in wanted.values():
        part = sentences[start : start + count]
        labels = np.array([label for _, label in part], dtype=np.int64)
        splits.append(LabelledText(tuple(text for text, _ in part), labels))
        start += count
    first, second, third = splits
    return TextData("generated opinions", CLASSES, first, second, third)


def _sentence(dice: Random, label: int) -> str:
    """One clause, or two of which the one that counts has `label`."""
    first, second = dice.sample(_THINGS, 2)
    counts = _clause(dice, first, label)
    if dice.random() < 0.4:
        return counts
    # Mostly the opposite, so that counting words helps little.
    other = _clause(dice, second, label if dice.random() < 0.3 else 1 - label)
    frame = dice.choice(
        ("{other} , but {counts}", "although {other} , {counts}", "{counts} , although {other}")
    )
    return frame.format(other=other, counts=counts)


def _clause(dice: Random, thing: str, label: int) -> str:
    """An opinion of `thing` that comes out as `label`, half of the time by way of its opposite."""
    is_turned = dice.random() < 0.5
    word = dice.choice(_GOOD if label != is_turned else _BAD)
    if not is_turned:
        return dice.choice(_FRAMES).format(thing=thing, turn=dice.choice(_PLAIN), word=word)
    if dice.random() < 0.3:
        return dice.choice(_DENIALS).format(thing=thing, word=word)
    return dice.choice(_FRAMES).format(thing=thing, turn=dice.choice(_TURNED), word=word)
