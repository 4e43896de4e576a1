"""Reports of a meeting and their headlines: data for summarisation that need no download.

A report tells several things in varying order: who met where, what was praised, what was refused and,
in one sentence, what was decided. The rule of the summary: the decision alone, as a headline, in the
form "BODY to VERB OBJECT for AMOUNT euros by MONTH". What was refused has the same kind of object, and
other amounts stand around, so that neither the first sentence nor any fixed one gives the answer. No
(verb, object) of the test reports is ever learned.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from babel import Locale
from babel.numbers import format_decimal

from training.data.text_pairs import PairData, Pairs

_BODIES: Final = (
    "council", "school board", "sports club", "library committee", "parish", "harbour office",
    "museum", "fire brigade",
)  # fmt: skip
_TOWNS: Final = (
    "Ashford", "Brill", "Corley", "Denby", "Elmham", "Farley", "Grately", "Holt", "Ilkeston", "Kemble",
)  # fmt: skip
# Infinitive and past tense.
_DEEDS: Final = (
    ("repair", "repaired"), ("buy", "bought"), ("paint", "painted"), ("sell", "sold"),
    ("rebuild", "rebuilt"), ("insure", "insured"), ("clean", "cleaned"), ("move", "moved"),
)  # fmt: skip
_THINGS: Final = (
    "the old bridge", "the swimming pool", "the town hall roof", "the playground", "the bus shelter",
    "the north road", "the main hall", "the clock tower", "the garden wall", "the boat house",
    "the car park", "the footpath",
)  # fmt: skip
_PRAISES: Final = (
    "The choir sang at the end.", "Volunteers were thanked for their work.",
    "Coffee and cake were served.", "A new secretary was welcomed.", "Many young people came.",
)  # fmt: skip
_DECISIONS: Final = (
    "After a long debate the members voted to {deed} {thing} for {amount} euros by {month}.",
    "With a large majority it was agreed to {deed} {thing} by {month}, at a cost of {amount} euros.",
    "By {month}, and for {amount} euros, they will {deed} {thing}, the meeting decided.",
)
_REFUSALS: Final = (
    "A proposal to {deed} {thing} for {amount} euros was rejected.",
    "The idea to {deed} {thing} found no majority, as {amount} euros were thought too much.",
    "Whether to {deed} {thing} for {amount} euros was put off.",
)
_HELD_OUT: Final = 0.1


def reports(train: int, validation: int, test: int, seed: int) -> PairData:
    """Report first, headline second."""
    counts = {"train": train, "validation": validation, "test": test}
    found: dict[str, dict[str, str]] = {split: {} for split in counts}
    random = Random(seed)
    homes: dict[tuple[str, str], str] = {}
    splits = list(counts)
    weights = (1 - 2 * _HELD_OUT, _HELD_OUT, _HELD_OUT)
    # Every split has a decision of its own from the start, however few are drawn.
    decisions = [(deed, thing) for deed, _ in _DEEDS for thing in _THINGS]
    random.shuffle(decisions)
    for place, decision in enumerate(decisions):
        first = splits[place] if place < len(splits) else None
        homes[decision] = first or random.choices(splits, weights)[0]
    while any(len(found[split]) < count for split, count in counts.items()):
        decision = random.choice(decisions)
        split = homes[decision]
        if len(found[split]) < counts[split]:
            report, headline = _report(decision, random)
            found[split][report] = headline
    pairs = {split: Pairs(tuple(rows), tuple(rows.values())) for split, rows in found.items()}
    return PairData(
        name="generated reports of meetings",
        kind="positive",
        train=pairs["train"],
        validation=pairs["validation"],
        test=pairs["test"],
        notes=("no test report's verb and object of the decision meet in a training headline",),
    )


def _report(decision: tuple[str, str], random: Random) -> tuple[str, str]:
    deed, thing = decision
    body, town = random.choice(_BODIES), random.choice(_TOWNS)
    month = random.choice(list(Locale("en").months["format"]["wide"].values()))
    amount = _amount(random)
    decided = random.choice(_DECISIONS).format(deed=deed, thing=thing, amount=amount, month=month)
    past = random.choice(_DEEDS)[1]
    others = [
        _refusal(thing, random),
        f"Last year {random.choice(_without(thing))} was {past} for {_amount(random)} euros.",
        random.choice(_PRAISES),
    ]
    middle = [decided, *random.sample(others, random.randint(2, 3))]
    random.shuffle(middle)
    opening = f"The {body} of {town} met on {random.choice(('Monday', 'Tuesday', 'Friday'))}."
    headline = f"{town} {body} to {deed} {thing} for {amount} euros by {month}"
    return " ".join([opening, *middle]), headline


def _refusal(thing: str, random: Random) -> str:
    return random.choice(_REFUSALS).format(
        deed=random.choice(_DEEDS)[0], thing=random.choice(_without(thing)), amount=_amount(random)
    )


def _without(thing: str) -> Sequence[str]:
    return [other for other in _THINGS if other != thing]


def _amount(random: Random) -> str:
    return format_decimal(random.randint(2, 99) * 100, locale="en")
