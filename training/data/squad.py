"""Questions and answers in SQuAD's JSON (Rajpurkar et al. 2016; version 2 with unanswerable ones: 2018).

The reader behind `--data` of question answering: one file, or a folder with `train*.json` and, where
there are, `dev*.json` and `test*.json`. What is missing is cut from the training passages by seed, whole
passages at a time, so that no passage is both learned and judged on. Nothing is mended: a place that
does not hold its answer is an error that names the question.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from training.data.questions import Question, QuestionData, Questions
from training.data.split_files import read_utf8, split_files
from training.errors import DataError

_SHOWN_CHARACTERS = 40


class SquadChoice(NamedTuple):
    """What part of the passages to hold out, where no file gives a split."""

    validation_fraction: float = 0.1
    test_fraction: float = 0.15
    seed: int = 0


def load_squad(data: Path, choice: SquadChoice | None = None) -> QuestionData:
    """Raises DataError naming file, passage and question."""
    files = split_files(data)
    splits = {split: read_questions(path) for split, path in files.items()}
    if not any(question.answers for question in splits["train"]):
        raise DataError(f"{files['train']}: no question has an answer to learn from")
    train, validation, test, notes = _complete(data, splits, choice or SquadChoice())
    return QuestionData(data.resolve().stem, train, validation, test, tuple(notes))


def read_questions(path: Path) -> Questions:
    """Every question of one file, in order. Raises DataError naming the line where it is no JSON."""
    try:
        document = json.loads(read_utf8(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise DataError(f"{path}: not SQuAD's JSON: nested too deeply") from error
    found = tuple(_questions(path, document))
    if not found:
        raise DataError(f"{path}: holds no question")
    seen: set[str] = set()
    for question in found:
        if question.id in seen:
            raise DataError(f"{path}: question id {question.id!r} occurs twice")
        seen.add(question.id)
    return found


def _questions(path: Path, document: Any) -> Iterator[Question]:
    articles = _member(document, "data", list, f"{path}")
    for number, article in enumerate(articles):
        where = f"{path}, data[{number}]"
        for index, paragraph in enumerate(_member(article, "paragraphs", list, where)):
            place = f"{where}.paragraphs[{index}]"
            context = _member(paragraph, "context", str, place)
            if not context.strip():
                raise DataError(f"{place}: the context is empty")
            for position, entry in enumerate(_member(paragraph, "qas", list, place)):
                yield _question(entry, context, f"{place}.qas[{position}]")


def _question(entry: Any, context: str, place: str) -> Question:
    identity = _member(entry, "id", str | int, place)
    where = f"{place} (question {str(identity)!r})"
    text = _member(entry, "question", str, where)
    if not text.strip():
        raise DataError(f"{where}: the question is empty")
    if entry.get("is_impossible", False) is True:
        return Question(str(identity), text, context, ())
    answers = [
        _answer(answer, context, f"{where}, answers[{index}]")
        for index, answer in enumerate(_member(entry, "answers", list, where))
    ]
    return Question(str(identity), text, context, tuple(dict.fromkeys(answers)))


def _answer(answer: Any, context: str, where: str) -> tuple[int, int]:
    text = _member(answer, "text", str, where)
    start = _member(answer, "answer_start", int, where)
    if not text.strip():
        raise DataError(f"{where}: the answer is empty; a question without one has no answers")
    if not 0 <= start < len(context) or context[start : start + len(text)] != text:
        there = context[max(0, start) : max(0, start) + len(text)]
        raise DataError(
            f"{where}: answer_start {start} gives {there[:_SHOWN_CHARACTERS]!r}, not "
            f"{text[:_SHOWN_CHARACTERS]!r}; places are counted in characters of the context"
        )
    return start, start + len(text)


def _member(record: Any, name: str, kind: Any, where: str) -> Any:
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        words = {list: "a list", str: "text", int: "a whole number"}.get(kind, "text")
        raise DataError(f"{where}: {name!r} is missing or is not {words}")
    return value


def _complete(
    data: Path, splits: dict[str, Questions], choice: SquadChoice
) -> tuple[Questions, Questions, Questions, list[str]]:
    """(train, validation, test, notes)."""
    splits, notes = dict(splits), []
    if "test" not in splits and "validation" in splits:
        # With a single held-out file the figures must come from it; validation is cut from training.
        splits["test"] = splits.pop("validation")
    contexts = list(dict.fromkeys(question.context for question in splits["train"]))
    Random(choice.seed).shuffle(contexts)
    for split, fraction in (
        ("test", choice.test_fraction),
        ("validation", choice.validation_fraction),
    ):
        if split not in splits:
            count = max(1, round(fraction * len(contexts)))
            chosen, contexts = set(contexts[:count]), contexts[count:]
            splits[split] = tuple(one for one in splits["train"] if one.context in chosen)
            notes.append(f"{split} cut from the training passages")
    kept = set(contexts)
    train = tuple(one for one in splits["train"] if one.context in kept)
    if not any(question.answers for question in train):
        raise DataError(f"{data}: too few passages to hold some out; give at least 3")
    return train, splits["validation"], splits["test"], notes
