"""Questions about passages, already split: what readers hand to question answering."""

import hashlib
from dataclasses import dataclass


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
