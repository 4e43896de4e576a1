"""What a text becomes for an encoder–decoder, which options contradict each other, and the answer's form."""

from pathlib import Path

import pytest

from models.errors import InputError, ManifestInvalid, TextEmpty, TextTooLong
from service.generation.request import GenerationEvent, RankedAnswer
from service.tasks.base import OptionInvalid
from service.tasks.text_to_text import TextToText
from tests.service.bundles import writer_bundle
from tests.service.translator_bundles import (
    CONTEXT_TOKENS,
    SOURCE_TOKENS,
    START,
    STOPS,
    translator_bundle,
)


@pytest.fixture
def task(tmp_path: Path) -> TextToText:
    return TextToText(translator_bundle(tmp_path / "repository"))


def ids_of(task: TextToText, text: str) -> tuple[int, ...]:
    return tuple(task.target_tokenizer.encode(text).ids)


def test_a_text_becomes_a_source_and_the_bundle_says_how_it_is_searched(task: TextToText) -> None:
    request = task.preprocess("ein Hund", task.parse_options({}))
    assert request.prompt_ids == (START,)
    assert request.source_ids == ids_of(task, "ein Hund")
    params = request.sampling
    assert (params.num_beams, params.length_penalty, params.temperature) == (3, 1.0, 0.0)
    assert (params.max_tokens, params.stop_token_ids) == (CONTEXT_TOKENS - 1, STOPS)


def test_the_bundles_prefix_stands_before_every_text_and_not_in_the_example(tmp_path: Path) -> None:
    task = TextToText(translator_bundle(tmp_path / "repository", prefix="summarize: "))
    request = task.preprocess("a", task.parse_options({}))
    assert request.source_ids == ids_of(task, "summarize: a")
    with pytest.raises(TextEmpty):
        task.preprocess("", task.parse_options({}))


@pytest.mark.parametrize("given", [{"temperature": 0.7}, {"repetition_penalty": 1.3}])
def test_who_draws_or_penalises_does_not_search_unless_told_to(
    task: TextToText, given: dict[str, object]
) -> None:
    assert task.preprocess("a", task.parse_options(given)).sampling.num_beams == 1
    with pytest.raises(OptionInvalid, match="'num_beams'"):
        task.parse_options({**given, "num_beams": 2})


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"n": 4}, "n"),
        ({"n": 2, "num_beams": 1}, "n"),
        ({"n": 2, "temperature": 1.0}, "n"),
        ({"max_tokens": CONTEXT_TOKENS}, "max_tokens"),
        ({"min_tokens": 5, "max_tokens": 4}, "min_tokens"),
        ({"num_beams": 0}, "num_beams"),
        ({"length_penalty": float("nan")}, "length_penalty"),
        ({"stop": ["x"]}, "stop"),
    ],
)
def test_a_wrong_option_is_named(task: TextToText, given: dict[str, object], option: str) -> None:
    with pytest.raises(OptionInvalid, match=f"'{option}'") as caught:
        task.parse_options(given)
    assert caught.value.option == option


def test_a_long_text_is_refused_with_the_limit_or_cut_when_asked(task: TextToText) -> None:
    text = "a" * (SOURCE_TOKENS + 1)
    with pytest.raises(TextTooLong, match=f"{SOURCE_TOKENS} tokens"):
        task.preprocess(text, task.parse_options({}))
    request = task.preprocess(text, task.parse_options({"truncate": True}))
    assert len(request.source_ids) == SOURCE_TOKENS


@pytest.mark.parametrize("text", ["", " \t\n", "\u2003"])
def test_an_empty_text_is_refused(task: TextToText, text: str) -> None:
    with pytest.raises(TextEmpty):
        task.preprocess(text, task.parse_options({}))


@pytest.mark.parametrize("value", [None, 7, ["a"], {"prompt": "a"}])
def test_what_is_no_text_is_refused(task: TextToText, value: object) -> None:
    with pytest.raises(InputError):
        task.read_json(value)


def test_the_answer_says_what_was_read_and_how_likely_each_text_is(task: TextToText) -> None:
    options = task.parse_options({"n": 2})
    request, reader = task.preprocess("ein Hund", options), task.new_reader(options)
    reader.feed(ids_of(task, " a dog"))
    reader.finish()
    other = RankedAnswer(ids_of(task, "one dog"), -0.75, "length")
    reader.last = GenerationEvent(finish_reason="stop", score=-0.5, alternatives=(other,))
    answer = task.postprocess(request, reader, "stop")
    assert answer == {
        "text": "a dog", "finish_reason": "stop", "score": -0.5,
        "source_tokens": 8, "completion_tokens": 6,
        "alternatives": [
            {"text": "one dog", "finish_reason": "length", "completion_tokens": 7, "score": -0.75}
        ],
    }  # fmt: skip
    assert task.answer.model_validate(answer)


def test_a_bundle_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="source_text"):
        TextToText(writer_bundle(tmp_path / "repository"))
