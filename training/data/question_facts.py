"""Passages of invented facts and questions about them: data for question answering without a download.

A passage tells a few facts about invented people and organisations (`training.data.names`), each in one
of several wordings; a question asks for one part of one fact. Some ask for a fact that the passage does
not tell of that person or organisation, and have no answer. Everything follows from the seed; surnames
and places of held-out passages are never learned, wordings are shared. What this is not: reading. To
answer one must find the sentence about the right name and the part of the right kind, no more, so that a
figure measured here says little about questions that people ask.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from training.data.cldr import Split
from training.data.names import Names
from training.data.questions import Question, QuestionData, Questions

_JOBS: Final = (
    "architect baker carpenter dentist editor engineer gardener geologist journalist librarian musician "
    "nurse painter photographer pilot plumber surgeon tailor teacher translator"
)


@dataclass(frozen=True)
class _Fact:
    """`subject` is the gap that a question names; `asked` maps another gap to its questions."""

    subject: str
    wordings: tuple[str, ...]
    asked: dict[str, tuple[str, ...]]


_FACTS: Final = (
    _Fact(
        "person",
        ("{person} was born in {place} in {year}.", "In {year} {person} was born in {place}."),
        {
            "place": ("Where was {person} born?", "In which place was {person} born?"),
            "year": ("When was {person} born?", "In which year was {person} born?"),
        },
    ),
    _Fact(
        "person",
        (
            "{person} works as a {job} for {organisation}.",
            "{organisation} employs {person} as a {job}.",
        ),
        {
            "organisation": ("Who does {person} work for?", "Who is the employer of {person}?"),
            "job": ("What is the job of {person}?", "As what does {person} work?"),
        },
    ),
    _Fact(
        "person",
        ("{person} is married to {other}.", "{other} is the spouse of {person}."),
        {"other": ("Who is {person} married to?", "Who is the spouse of {person}?")},
    ),
    _Fact(
        "person",
        ("{person} moved to {place} to study.", "To study, {person} moved to {place}."),
        {"place": ("Where did {person} move to?", "Where did {person} go to study?")},
    ),
    _Fact(
        "organisation",
        (
            "{organisation} was founded by {person} in {year}.",
            "In {year} {person} founded {organisation}.",
        ),
        {
            "person": ("Who founded {organisation}?", "Who was the founder of {organisation}?"),
            "year": (
                "When was {organisation} founded?",
                "In which year was {organisation} founded?",
            ),
        },
    ),
    _Fact(
        "organisation",
        (
            "The head office of {organisation} is in {place}.",
            "{organisation} has its head office in {place}.",
        ),
        {
            "place": (
                "Where is the head office of {organisation}?",
                "Where is {organisation} based?",
            )
        },
    ),
    _Fact(
        "organisation",
        ("{organisation} has {number} members.", "There are {number} members in {organisation}."),
        {"number": ("How many members does {organisation} have?",)},
    ),
)


def load_question_facts(
    seed: int, train: int, validation: int, test: int, no_answer_fraction: float
) -> QuestionData:
    """So many questions in each split, of which a part has no answer."""

    def written(split: Split, count: int) -> Questions:
        writer = _Writer(split, seed, no_answer_fraction)
        return tuple(writer.question(row) for row in range(count))

    return QuestionData(
        "question-facts",
        written("train", train),
        written("validation", validation),
        written("test", test),
    )


class _Writer:
    """Writes passages of one split, each with one question."""

    def __init__(self, split: Split, seed: int, no_answer_fraction: float) -> None:
        self._split, self._no_answer = split, no_answer_fraction
        self._names = Names(split, seed)
        self._random = Random(f"facts/{seed}/{split}")

    def question(self, row: int) -> Question:
        random = self._random
        subjects = {
            "person": [self._names.person() for _ in range(2)],
            "organisation": [self._names.organisation() for _ in range(2)],
        }
        # The fact that is asked for, and others: of the same name, and the same of another name.
        asked = random.choice(_FACTS)
        name, rival = random.sample(subjects[asked.subject], 2)
        told = [(asked, name), (asked, rival)]
        others = random.sample([fact for fact in _FACTS if fact is not asked], random.randint(2, 3))
        told += [(fact, random.choice(subjects[fact.subject])) for fact in others]
        has_answer = random.random() >= self._no_answer
        told = told if has_answer else told[1:]
        random.shuffle(told)
        gap = random.choice(sorted(asked.asked))
        question = random.choice(asked.asked[gap]).format(**{asked.subject: name})
        sentences: list[str] = []
        place: tuple[int, int] | None = None
        for fact, subject in told:
            sentence, start, end = self._sentence(fact, subject, gap)
            if fact is asked and subject == name:
                before = len(" ".join([*sentences, ""]))
                place = (before + start, before + end)
            sentences.append(sentence)
        answers = () if place is None else (place,)
        return Question(f"{self._split}-{row}", question, " ".join(sentences), answers)

    def _sentence(self, fact: _Fact, subject: str, gap: str) -> tuple[str, int, int]:
        """The sentence and where it says what stands in `gap`, if it has one."""
        values = {
            "person": self._names.person(),
            "other": self._names.person(),
            "organisation": self._names.organisation(),
            "place": self._names.place(),
            "job": self._random.choice(_JOBS.split()),
            "year": str(self._random.randint(1850, 2020)),
            "number": str(self._random.randint(20, 9000)),
            fact.subject: subject,
        }
        wording = self._random.choice(fact.wordings)
        head, has_gap, _ = wording.partition(f"{{{gap}}}")
        start = len(head.format(**values))
        return wording.format(**values), start, start + (len(values[gap]) if has_gap else 0)
