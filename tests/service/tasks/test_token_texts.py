"""Tokens' bytes put together are the text's bytes, whatever the tokenizer's way of writing them."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from service.tasks.token_texts import TokenTexts
from tests.service.chat.templates import chat_tokenizer

TEXTS = ["plain", "åäö “quoted”\n\t", "日本語 🙂", "a  b", "\x00\x7f"]


def fallback_tokenizer() -> Tokenizer:
    """SentencePiece's manner: ▁ for blanks, a token for every byte that no piece covers."""
    pieces = [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    pieces = [("<unk>", 0.0), *pieces, *((letter, -2.0) for letter in "▁abcdefgilnoptu")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "tokenizer", [chat_tokenizer(), fallback_tokenizer()], ids=["bytes", "pieces"]
)
def test_tokens_bytes_make_the_texts_bytes(tokenizer: Tokenizer, text: str) -> None:
    texts = TokenTexts(tokenizer)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert b"".join(map(texts.data, ids)) == text.encode()


def test_control_tokens_are_their_names_and_unknown_ones_nothing() -> None:
    tokenizer = chat_tokenizer()
    texts = TokenTexts(tokenizer)
    assert texts.text(tokenizer.token_to_id("<|im_end|>")) == "<|im_end|>"
    assert texts.data(10**6) == b""


def test_a_part_of_a_character_is_shown_as_such() -> None:
    tokenizer = chat_tokenizer()
    first, *_ = tokenizer.encode("🙂", add_special_tokens=False).ids
    assert TokenTexts(tokenizer).text(first) == "\N{REPLACEMENT CHARACTER}"
