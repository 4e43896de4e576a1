"""Every text survives the tokenizer, and every token knows its bytes."""

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training.data.byte_tokenizer import END_OF_TEXT, END_OF_TEXT_ID, token_bytes, train_tokenizer

SOURCE = "def add(first, second):\n    return first + second\n\n\nclass Thing:\n    pass\n" * 20
TOKENIZER = train_tokenizer([SOURCE], vocabulary=280)


@given(st.text())
def test_any_text_survives_the_round_trip(text: str) -> None:
    ids = TOKENIZER.encode(text).ids
    assert TOKENIZER.decode(ids, skip_special_tokens=False) == text


@given(st.text().filter(lambda text: END_OF_TEXT not in text))
def test_tokens_stand_for_as_many_bytes_as_the_text_has(text: str) -> None:
    sizes = token_bytes(TOKENIZER)
    assert sum(sizes[token] for token in TOKENIZER.encode(text).ids) == len(text.encode())


def test_vocabulary_has_the_asked_size_and_the_end_of_text_first() -> None:
    assert TOKENIZER.get_vocab_size() == 280
    assert TOKENIZER.token_to_id(END_OF_TEXT) == END_OF_TEXT_ID
    assert token_bytes(TOKENIZER)[END_OF_TEXT_ID] == 0


def test_a_new_line_with_its_indentation_is_one_token() -> None:
    tokenizer = train_tokenizer([SOURCE], vocabulary=293)
    assert tokenizer.encode("\n    return").tokens == ["ĊĠĠĠĠ", "return"]


def test_it_reads_back_from_its_file() -> None:
    again = Tokenizer.from_str(TOKENIZER.to_str())
    assert again.encode(SOURCE).ids == TOKENIZER.encode(SOURCE).ids
