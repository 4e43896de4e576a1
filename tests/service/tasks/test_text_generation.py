from pathlib import Path

import pytest
from tokenizers import Tokenizer

from models.errors import InputError, TextEmpty, TextTooLong
from service.tasks.detokenizer import Detokenizer
from service.tasks.text_generation import TextGeneration
from tests.service.bundles import CONTEXT_TOKENS, byte_tokenizer, writer_bundle

BYTES = Tokenizer.from_str(byte_tokenizer())


@pytest.fixture
def writer(tmp_path: Path) -> TextGeneration:
    return TextGeneration(writer_bundle(tmp_path / "repository"))


def test_a_prompt_becomes_a_request_with_the_bundles_limits(writer: TextGeneration) -> None:
    request = writer.preprocess("def", writer.parse_options({"seed": 1, "temperature": 0}))
    assert request.prompt_ids == tuple(BYTES.encode("def").ids)
    assert request.sampling.max_tokens == 16
    assert request.sampling.stop_token_ids == (0,)
    assert (request.sampling.seed, request.sampling.temperature) == (1, 0)


def test_the_first_token_that_the_bundle_names_is_put_before_every_text(tmp_path: Path) -> None:
    writer = TextGeneration(writer_bundle(tmp_path / "repository", bos_token_id=5))
    options = writer.parse_options({})
    assert writer.preprocess("a", options).prompt_ids == (5, *BYTES.encode("a").ids)
    assert writer.preprocess("", options).prompt_ids == (5,)


def test_the_default_length_shrinks_to_what_the_context_leaves(writer: TextGeneration) -> None:
    request = writer.preprocess("a" * (CONTEXT_TOKENS - 3), writer.parse_options({}))
    assert request.sampling.max_tokens == 3


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("a" * CONTEXT_TOKENS, {}),
        ("a", {"max_tokens": CONTEXT_TOKENS}),
        ("a", {"max_tokens": 1_000_000}),
        ("a" * 10_000_000, {}),
        ((1,) * CONTEXT_TOKENS, {}),
    ],
    ids=["prompt", "answer", "huge answer", "10 MB", "ids"],
)
def test_what_exceeds_the_context_is_refused_with_the_limit(
    writer: TextGeneration, prompt: str | tuple[int, ...], options: dict[str, object]
) -> None:
    with pytest.raises(TextTooLong, match=f"{CONTEXT_TOKENS} tokens"):
        writer.preprocess(prompt, writer.parse_options(options))


@pytest.mark.parametrize("prompt", ["", ()])
def test_an_empty_prompt_is_refused(writer: TextGeneration, prompt: str | tuple[int, ...]) -> None:
    with pytest.raises(TextEmpty):
        writer.preprocess(prompt, writer.parse_options({}))


@pytest.mark.parametrize("token", [-1, 256, 2**40])
def test_token_ids_outside_the_vocabulary_are_refused(writer: TextGeneration, token: int) -> None:
    with pytest.raises(InputError, match="outside the vocabulary of 256 tokens"):
        writer.preprocess((1, token), writer.parse_options({}))


@pytest.mark.parametrize(
    "given",
    [
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"temperature": -0.1},
        {"temperature": "nan"},
        {"temperature": "inf"},
        {"top_p": 0},
        {"top_p": 1.1},
        {"stop": ["a"] * 5},
        {"seed": 2**63},
        {"logit_bias": {"5": 101}},
    ],
)
def test_options_out_of_bounds_are_refused(
    writer: TextGeneration, given: dict[str, object]
) -> None:
    with pytest.raises(InputError, match=f"option '{next(iter(given))}'"):
        writer.parse_options(given)


def test_the_answer_holds_text_and_counts(writer: TextGeneration) -> None:
    options = writer.parse_options({"stop": ["\n"]})
    request = writer.preprocess("def", options)
    reader = writer.new_reader(options)
    reader.feed(tuple(BYTES.encode(" f\nx").ids))
    assert reader.is_done
    answer = writer.postprocess(request, reader, "stop")
    assert answer == {
        "text": " f",
        "finish_reason": "stop",
        "prompt_tokens": 3,
        "completion_tokens": 3,
    }
    assert writer.answer.model_validate(answer)


def _read(text: str, stop: tuple[str, ...] = (), chunk: int = 1) -> list[str]:
    reader, ids = Detokenizer(BYTES, stop), BYTES.encode(text).ids
    parts = [reader.feed(tuple(ids[at : at + chunk])) for at in range(0, len(ids), chunk)]
    parts.append(reader.finish())
    assert "".join(parts) == reader.text
    return parts


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("text", ["plain", "größer 😀 日本", "👩‍👩‍👧\0\n\u202e", ""])
def test_text_comes_out_whole_however_the_tokens_arrive(text: str, chunk: int) -> None:
    parts = _read(text, chunk=chunk)
    assert "".join(parts) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in part for part in parts)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_a_stop_text_ends_the_answer_before_it_even_across_tokens(chunk: int) -> None:
    parts = _read("ab END cd", stop=("END", "cd"), chunk=chunk)
    assert "".join(parts) == "ab "


def test_the_beginning_of_a_stop_text_is_held_back_until_it_is_certain() -> None:
    reader = Detokenizer(BYTES, ("END",))
    ids = BYTES.encode("xENx").ids
    assert [reader.feed((token,)) for token in ids] == ["x", "", "", "ENx"]
    reader = Detokenizer(BYTES, ("END",))
    assert reader.feed(tuple(BYTES.encode("xEN").ids)) == "x"
    assert reader.finish() == "EN"


def test_the_earliest_stop_text_wins_and_nothing_follows_it() -> None:
    reader = Detokenizer(BYTES, ("cd", "ab"))
    assert reader.feed(tuple(BYTES.encode("x ab cd").ids)) == "x "
    assert reader.is_done
    assert reader.feed(tuple(BYTES.encode("more").ids)) == ""
    assert reader.finish() == ""


def test_a_character_after_broken_bytes_is_not_lost() -> None:
    byte_ids = {byte: BYTES.encode(chr(byte)).ids for byte in range(128)}
    smile = BYTES.encode("😀").ids
    broken = smile[0]  # the first byte of a character, alone
    for count in range(1, 9):
        reader = Detokenizer(BYTES)
        reader.feed((broken,) * count + tuple(smile) + tuple(byte_ids[ord("!")]))
        reader.finish()
        assert reader.text.endswith("😀!")
