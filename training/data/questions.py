"""Questions about passages, already split: what readers hand to question answering."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from training.data.folds import grouped_fold_rows


@dataclass(frozen=True)
class Question:
    """`answers`: the characters' places in `context`, from and to; none where it holds no answer."""

    id: str
    question: str
    context: str
    answers: tuple[tuple[int, int], ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self.context[start:end] for start, end in self.answers)


Questions = tuple[Question, ...]


@dataclass(frozen=True)
class QuestionData:
    """A data set: `validation` chooses and calibrates, `test` only judges."""

    name: str
    train: Questions
    validation: Questions
    test: Questions
    notes: tuple[str, ...] = ()

    @property
    def may_have_no_answer(self) -> bool:
        """Whether the training questions teach that there can be none (as in SQuAD 2)."""
        return any(not question.answers for question in self.train)

    def sha256(self) -> str:
        """Over all splits, so that any change of data, split or order shows."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for one in split:
                digest.update(f"{one.id}\0{one.question}\0{one.answers}\0{one.context}\n".encode())
        return digest.hexdigest()


def fold_of(
    data: QuestionData, number: int, count: int, *, validation_fraction: float, seed: int
) -> QuestionData:
    """`data` with fold `number` of `count` of what was not for testing in the place of the test; all
    questions about a passage stay together."""
    everything = data.train + data.validation
    passages = {one.context: place for place, one in enumerate(everything)}
    groups = np.array([passages[one.context] for one in everything], dtype=np.int64)
    rows = grouped_fold_rows(
        groups, number, count, validation_fraction=validation_fraction, seed=seed
    )
    parts = (rows.train, rows.validation, rows.test)
    train, validation, test = (tuple(everything[row] for row in part) for part in parts)
    return replace(data, train=train, validation=validation, test=test)
