"""An answer is a piece of the caller's own context, or there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import InferenceFailed, InputError, ManifestInvalid, TextTooLong
from service.tasks.question_answering import QuestionAnswering
from tests.service.span_bundles import answer_bundle

CONTEXT = "Zoe\u0308 \U0001f600 was born in Ko\u0308ln. She lives in Rome."


@pytest.fixture
def task(tmp_path: Path) -> QuestionAnswering:
    return QuestionAnswering(answer_bundle(tmp_path))


def answered(
    task: QuestionAnswering,
    pointed: dict[str, float],
    given: dict[str, object] | None = None,
    *,
    nothing: float = 0.0,
    context: str = CONTEXT,
) -> dict[str, Any]:
    """The answer to logits that point at the pieces in `pointed`, and at nothing."""
    options = task.parse_options(given or {})
    instance = task.read_json({"question": "Where?", "context": context})
    prepared = task.preprocess(instance, options)
    rows = []
    for window in prepared.kept[1]:
        logits = np.zeros((2, len(window.sequence)), np.float32)
        logits[:, 0] = nothing
        for piece, height in pointed.items():
            start = context.index(piece)
            for side, place in ((0, start), (1, start + len(piece) - 1)):
                inside = (window.sequence == 1) & (window.offsets[:, 0] <= place)
                logits[side, inside & (window.offsets[:, 1] > place)] = height
        rows.append({"start_logits": logits[0], "end_logits": logits[1]})
    answer = task.postprocess(rows, prepared, options)
    task.answer.model_validate(answer)
    return dict(answer)


@pytest.mark.parametrize("piece", ["Ko\u0308ln", "Zoe\u0308 \U0001f600", "Rome"])
def test_the_answer_is_an_exact_piece_of_the_context(task: QuestionAnswering, piece: str) -> None:
    answer = answered(task, {piece: 12.0})
    assert answer["has_answer"]
    assert answer["answer"] == piece == CONTEXT[answer["start"] : answer["end"]]
    assert 0.9 < answer["score"] <= 1.0


def test_windows_of_a_long_context_are_searched_together(task: QuestionAnswering) -> None:
    context = "It rains a lot here. " * 20 + CONTEXT + " Nobody knows why." * 20
    instance = task.read_json({"question": "Where?", "context": context})
    assert len(task.preprocess(instance, task.parse_options({})).items) > 10
    answer = answered(task, {"Ko\u0308ln": 12.0}, context=context)
    assert answer["answer"] == "Ko\u0308ln"
    assert answer["start"] == context.index("Ko\u0308ln")


def test_nothing_is_answered_where_it_leads_by_the_threshold(task: QuestionAnswering) -> None:
    answer = answered(task, {"Rome": 3.0}, {"top_k": 2}, nothing=9.0)
    assert (answer["has_answer"], answer["answer"], answer["start"]) == (False, "", None)
    assert answer["score"] > 0.9
    assert answer["answers"][0]["answer"] == "Rome"
    assert (
        answered(task, {"Rome": 3.0}, {"no_answer_threshold": 50}, nothing=9.0)["answer"] == "Rome"
    )


def test_a_model_that_cannot_say_nothing_never_does(tmp_path: Path) -> None:
    task = QuestionAnswering(answer_bundle(tmp_path, may_have_no_answer=False))
    assert answered(task, {"Rome": 3.0}, nothing=9.0)["answer"] == "Rome"


def test_several_answers_come_best_first_and_apart(task: QuestionAnswering) -> None:
    answer = answered(task, {"Rome": 9.0, "Ko\u0308ln": 8.0}, {"top_k": 3, "max_answer_tokens": 8})
    assert [one["answer"] for one in answer["answers"][:2]] == ["Rome", "Ko\u0308ln"]
    assert len(answer["answers"]) == 3
    assert answer["answer"] == "Rome"


@pytest.mark.parametrize(
    ("instance", "complaint"),
    [
        ("Where?", 'send {"question"'),
        ({"question": "Where?"}, 'send {"question"'),
        ({"question": "Where?", "context": "x", "more": 1}, 'send {"question"'),
        ({"question": 1, "context": "x"}, "question must be a string"),
        ({"question": "Where?", "context": None}, "context must be a string"),
        ({"question": " ", "context": "x"}, "question is empty"),
        ({"question": "Where?", "context": ""}, "context is empty"),
    ],
)
def test_a_wrong_form_is_the_callers_mistake(
    task: QuestionAnswering, instance: object, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        task.read_json(instance)


def test_what_is_too_long_is_refused_with_the_limit(task: QuestionAnswering) -> None:
    options, cut = task.parse_options({}), task.parse_options({"truncate": True})
    long_question = task.read_json({"question": "why " * 30, "context": "x"})
    with pytest.raises(TextTooLong, match="64 tokens"):
        task.preprocess(long_question, options)
    long_context = task.read_json({"question": "why?", "context": "a" * 1_000_000})
    assert task.is_heavy(long_context)
    with pytest.raises(TextTooLong, match="64 windows"):
        task.preprocess(long_context, options)
    assert len(task.preprocess(long_context, cut).items) == 64


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"top_k": 0}, "option 'top_k'"),
        ({"max_answer_tokens": 100_000}, "option 'max_answer_tokens'"),
        ({"no_answer_threshold": "high"}, "option 'no_answer_threshold'"),
        ({"threshold": 1}, "option 'threshold' is unknown"),
    ],
)
def test_wrong_options_are_named(
    task: QuestionAnswering, given: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        task.parse_options(given)


def test_an_answer_that_is_no_number_is_the_models_failure(task: QuestionAnswering) -> None:
    with pytest.raises(InferenceFailed):
        answered(task, {"Rome": float("nan")})


def test_a_bundle_that_reads_single_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="pairs"):
        QuestionAnswering(answer_bundle(tmp_path, is_pair=False))
