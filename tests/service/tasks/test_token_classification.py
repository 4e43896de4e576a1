"""Entities stand where the caller's own text has them, whatever its script and normal form."""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import InferenceFailed, InputError, ManifestInvalid, TextEmpty, TextTooLong
from service.tasks.token_classification import TokenClassification
from tests.service.span_bundles import TAGS, entity_bundle


@pytest.fixture
def task(tmp_path: Path) -> TokenClassification:
    return TokenClassification(entity_bundle(tmp_path))


def answered(
    task: TokenClassification,
    text: str,
    tags: dict[str, str],
    given: dict[str, object] | None = None,
) -> dict[str, Any]:
    """The answer to logits that give the words in `tags` their tag and all others O."""
    options = task.parse_options(given or {})
    prepared = task.preprocess(text, options)
    _, places, word_ids = prepared.kept
    logits = np.zeros((len(word_ids), len(TAGS)), np.float32)
    for token, word in enumerate(word_ids):
        start, end = places[word]
        logits[token, TAGS.index(tags.get(text[start:end], "O"))] = 6.0
    answer = task.postprocess([{"logits": logits}], prepared, options)
    task.answer.model_validate(answer)
    return dict(answer)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("Today Ada Lovelace spoke.", "Ada", "Lovelace"),
        (
            "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 Ada  \n Lovelace!",
            "Ada",
            "Lovelace",
        ),
        (unicodedata.normalize("NFD", "Im Café: Zoë Müller."), None, None),
        (unicodedata.normalize("NFC", "Im Café: Zoë Müller."), None, None),
        (
            "\u05d0\u05de\u05e8 \u05d3\u05d5\u05d3 \u05dc\u05d5\u05d9 \u05e9\u05dc\u05d5\u05dd",
            "דוד",
            "לוי",
        ),
        ("a\x00b Ada Lovelace", "Ada", "Lovelace"),
    ],
)
def test_an_entity_is_cut_out_of_the_very_text_that_was_sent(
    task: TokenClassification, text: str, first: str | None, last: str | None
) -> None:
    form = "NFD" if not unicodedata.is_normalized("NFC", text) else "NFC"
    first = first or unicodedata.normalize(form, "Zoë")  # type: ignore[arg-type]
    last = last or unicodedata.normalize(form, "Müller")  # type: ignore[arg-type]
    [entity] = answered(task, text, {first: "B-PER", last: "I-PER"})["entities"]
    assert entity["label"] == "PER"
    assert entity["text"] == text[entity["start"] : entity["end"]]
    assert entity["text"].startswith(first)
    assert entity["text"].endswith(last)
    assert 0.98 < entity["score"] <= 1.0


def test_options_leave_out_what_is_not_wanted(task: TokenClassification) -> None:
    text, tags = "Ada met Karl in Rome", {"Ada": "B-PER", "Karl": "B-PER", "Rome": "B-LOC"}
    assert [one["text"] for one in answered(task, text, tags)["entities"]] == [
        "Ada",
        "Karl",
        "Rome",
    ]
    only = answered(task, text, tags, {"labels": ["LOC"]})
    assert [one["text"] for one in only["entities"]] == ["Rome"]
    assert answered(task, text, tags, {"threshold": 1.0})["entities"] == []
    assert "tokens" not in only


def test_every_word_is_answered_when_asked(task: TokenClassification) -> None:
    text = "So Ada, no."
    words = answered(task, text, {"Ada": "B-PER"}, {"include_tokens": True})["tokens"]
    assert [(word["text"], word["tag"]) for word in words] == [
        ("So", "O"),
        ("Ada", "B-PER"),
        (",", "O"),
        ("no", "O"),
        (".", "O"),
    ]
    assert all(text[word["start"] : word["end"]] == word["text"] for word in words)


@pytest.mark.parametrize("text", ["word " * 100, "a" * 1_000_000])
def test_a_text_that_is_too_long_is_cut_only_when_asked(
    task: TokenClassification, text: str
) -> None:
    with pytest.raises(TextTooLong, match="more than 200 tokens"):
        task.preprocess(text, task.parse_options({}))
    assert answered(task, text, {}, {"truncate": True})["entities"] == []
    assert task.is_heavy("a" * 1_000_000)


@pytest.mark.parametrize("text", ["", "   ", "\n\t\u3000"])
def test_a_text_without_words_is_empty(task: TokenClassification, text: str) -> None:
    with pytest.raises(TextEmpty):
        task.preprocess(text, task.parse_options({}))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"threshold": 2}, "option 'threshold'"),
        ({"labels": "PER"}, "option 'labels'"),
        ({"top_k": 1}, "option 'top_k' is unknown"),
    ],
)
def test_wrong_options_are_named(
    task: TokenClassification, given: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        task.parse_options(given)


def test_an_answer_that_is_no_number_is_the_models_failure(task: TokenClassification) -> None:
    options = task.parse_options({})
    prepared = task.preprocess("Ada", options)
    with pytest.raises(InferenceFailed):
        task.postprocess([{"logits": np.full((3, 5), np.nan, np.float32)}], prepared, options)


def test_labels_that_do_not_match_the_tags_are_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="7 tags but 5 labels"):
        TokenClassification(entity_bundle(tmp_path, tags=7))


@pytest.mark.parametrize("example", ["Ada met Karl.", "Ada met Karl. " * 40])
def test_the_example_is_a_text_that_the_model_takes(tmp_path: Path, example: str) -> None:
    task = TokenClassification(entity_bundle(tmp_path, example=example))
    shown = task.example()
    assert isinstance(shown, str)
    assert shown.startswith("Ada met Karl.")
    task.prepare_example()
