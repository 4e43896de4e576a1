"""Every text survives every kind of tokenizer, and every token knows its bytes and characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training.data.byte_tokenizer import END_OF_TEXT, END_OF_TEXT_ID, token_sizes, train_tokenizer

SOURCE = "def add(first, second):\n    return first + second\n\n\nclass Thing:\n    pass\n" * 20
TOKENIZER = train_tokenizer([SOURCE], vocabulary=280)
KINDS = {
    "bpe": TOKENIZER,
    "bytes": train_tokenizer([SOURCE], 0, "bytes"),
    "characters": train_tokenizer(["Grüße, 世界 🎈"], 0, "characters"),
}


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text())
def test_any_text_survives_the_round_trip(kind: str, text: str) -> None:
    ids = KINDS[kind].encode(text).ids
    assert KINDS[kind].decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text().filter(lambda text: END_OF_TEXT not in text))
def test_tokens_stand_for_the_bytes_and_characters_of_the_text(kind: str, text: str) -> None:
    sizes = token_sizes(KINDS[kind])[KINDS[kind].encode(text).ids].reshape(-1, 2).sum(axis=0)
    assert sizes.tolist() == [len(text.encode()), len(text)]


def test_a_character_of_the_training_text_is_one_token_and_another_its_bytes() -> None:
    characters = KINDS["characters"]
    assert len(characters.encode("世界 Grüße 🎈").ids) == len("世界 Grüße 🎈")
    assert len(characters.encode("ж").ids) == 2
    assert KINDS["bytes"].get_vocab_size() == 257
    assert len(KINDS["bytes"].encode("世").ids) == 3


def test_special_tokens_follow_the_end_of_text_and_are_read_whole() -> None:
    for kind in KINDS:
        tokenizer = train_tokenizer([SOURCE], 280, kind, special=("<|stop|>",))
        assert tokenizer.encode("<|endoftext|>a<|stop|>").ids[0::2] == [0, 1]
        assert token_sizes(tokenizer)[:2].sum() == 0


def test_digits_may_be_tokens_of_their_own() -> None:
    tokenizer = train_tokenizer(["1234 " * 90], 300, digits=1)
    assert tokenizer.encode("1234").tokens == ["1", "2", "3", "4"]


def test_vocabulary_has_the_asked_size_and_the_end_of_text_first() -> None:
    assert TOKENIZER.get_vocab_size() == 280
    assert TOKENIZER.token_to_id(END_OF_TEXT) == END_OF_TEXT_ID
    assert token_sizes(TOKENIZER)[END_OF_TEXT_ID].tolist() == [0, 0]


def test_a_new_line_with_its_indentation_is_one_token() -> None:
    tokenizer = train_tokenizer([SOURCE], vocabulary=293)
    assert tokenizer.encode("\n    return").tokens == ["ĊĠĠĠĠ", "return"]


def test_it_reads_back_from_its_file() -> None:
    again = Tokenizer.from_str(TOKENIZER.to_str())
    assert again.encode(SOURCE).ids == TOKENIZER.encode(SOURCE).ids
