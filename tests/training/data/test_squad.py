"""SQuAD files are read strictly: a place that does not hold its answer is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.data.squad import SquadChoice, load_squad, read_questions
from training.errors import DataError

CONTEXT = "Ada was born in Zu\u0308rich \U0001f600 in 1815."


def entry(identity: str = "q1", **more: Any) -> dict[str, Any]:
    answers = [{"text": "1815", "answer_start": CONTEXT.index("1815")}]
    return {"id": identity, "question": "When?", "answers": answers} | more


def document(*entries: dict[str, Any], context: str = CONTEXT) -> dict[str, Any]:
    return {
        "version": "1.1",
        "data": [{"paragraphs": [{"context": context, "qas": list(entries)}]}],
    }


def written(folder: Path, content: Any, name: str = "train.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_answers_are_places_in_the_context(tmp_path: Path) -> None:
    twice = entry(answers=entry()["answers"] * 2)
    [one] = read_questions(written(tmp_path, document(twice)))
    assert one.texts == ("1815",)
    assert (one.id, one.question, one.context) == ("q1", "When?", CONTEXT)


@pytest.mark.parametrize(
    "nothing", [{"is_impossible": True, "answers": []}, {"answers": []}, {"is_impossible": True}]
)
def test_a_question_may_have_no_answer(tmp_path: Path, nothing: dict[str, Any]) -> None:
    [one] = read_questions(written(tmp_path, document(entry(**nothing))))
    assert one.answers == ()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"data": [\n{"paragraphs": \n}', "line 3: not JSON"),
        ("[" * 100_000, "nested too deeply|not JSON"),
        ([], "'data' is missing"),
        ({"data": [{}]}, r"data\[0\]: 'paragraphs' is missing"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, r"paragraphs\[0\]: 'context' is missing"),
        (document(context=" "), r"data\[0\].paragraphs\[0\]: the context is empty"),
        (document(), "holds no question"),
        (document({"question": "When?"}), r"qas\[0\]: 'id' is missing"),
        (document(entry(question=" ")), r"\(question 'q1'\): the question is empty"),
        (document(entry(question=3)), r"\(question 'q1'\): 'question' is missing or is not text"),
        (document({"id": "q1", "question": "When?"}), r"\(question 'q1'\): 'answers' is missing"),
        (
            document(entry(answers=[{"text": "1815", "answer_start": 3}])),
            r"\(question 'q1'\), answers\[0\]: answer_start 3 gives ' was', not '1815'",
        ),
        (document(entry(answers=[{"text": "1815", "answer_start": -5}])), "answer_start -5 gives"),
        (document(entry(answers=[{"text": "1815", "answer_start": 9999}])), "answer_start 9999"),
        (document(entry(answers=[{"text": "1815", "answer_start": True}])), "not a whole number"),
        (document(entry(answers=[{"text": "", "answer_start": 0}])), "the answer is empty"),
        (document(entry(), entry()), "question id 'q1' occurs twice"),
    ],
)
def test_a_malformed_file_is_named_with_its_passage_and_question(
    tmp_path: Path, content: Any, complaint: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=complaint) as caught:
        read_questions(path)
    assert str(path) in caught.value.message


def passages(count: int) -> dict[str, Any]:
    return {
        "data": [
            {
                "paragraphs": [
                    {"context": f"{n} {CONTEXT}", "qas": [entry(f"{n}a", answers=[]), _shifted(n)]}
                ]
            }
            for n in range(count)
        ]
    }


def _shifted(n: int) -> dict[str, Any]:
    place = f"{n} {CONTEXT}".index("1815")
    return entry(f"{n}b", answers=[{"text": "1815", "answer_start": place}])


def test_whole_passages_are_held_out(tmp_path: Path) -> None:
    path = written(tmp_path, passages(20))
    one, same, other = (load_squad(path, SquadChoice(seed=seed)) for seed in (1, 1, 2))
    assert one.sha256() == same.sha256() != other.sha256()
    splits = [
        {question.context for question in split} for split in (one.train, one.validation, one.test)
    ]
    assert [len(contexts) for contexts in splits] == [15, 2, 3]
    assert len(set.union(*splits)) == 20
    assert one.may_have_no_answer


def test_names_of_files_say_which_split_they_are(tmp_path: Path) -> None:
    written(tmp_path, passages(6), "train-v2.0.json")
    written(tmp_path, document(entry("held")), "dev-v2.0.json")
    data = load_squad(tmp_path)
    assert [question.id for question in data.test] == ["held"]
    assert data.validation
    assert not {question.context for question in data.validation} & {
        question.context for question in data.train
    }


def test_questions_without_any_answer_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no question has an answer"):
        load_squad(written(tmp_path, document(entry(answers=[]))))
