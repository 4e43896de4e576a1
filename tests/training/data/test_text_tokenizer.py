"""Every text in any script becomes tokens; nothing a caller writes is special."""

import pytest

from models.blocks import TextPreprocessing
from models.errors import TextEmpty
from models.transforms.text import TextEncoder
from training.data.text_tokenizer import fit_tokenizer

TEXTS = ["The quick brown fox", "the lazy dog", "Über den Fluss", "привет мир"] * 4


def _encoder(*, lowercase: bool = True, vocabulary: int = 320) -> TextEncoder:
    tokenizer = fit_tokenizer(TEXTS, vocabulary, lowercase=lowercase)
    return TextEncoder(tokenizer.to_str(), TextPreprocessing(max_tokens=64))


def _ids(encoder: TextEncoder, text: str) -> list[int]:
    ids: list[int] = encoder.encode(text)["input_ids"].tolist()
    return ids


@pytest.mark.parametrize("text", ["日本語", "ไทย", "🦊", "\0", "<pad>", "</s>", "x", "ـ"])
def test_unseen_writing_falls_back_to_bytes_and_stays_distinct(text: str) -> None:
    encoder = _encoder()
    assert _ids(encoder, text)
    assert _ids(encoder, text) != _ids(encoder, text + "x")


def test_equal_texts_of_other_width_spacing_and_case_are_read_alike() -> None:
    encoder = _encoder()
    assert _ids(encoder, "  THE\n\nquick\u3000Ｆox ") == _ids(encoder, "the quick fox")
    cased = _encoder(lowercase=False)
    assert _ids(cased, "THE") != _ids(cased, "the")


@pytest.mark.parametrize("text", ["", "  ", "\n\t\u3000"])
def test_nothing_but_space_is_refused_as_empty(text: str) -> None:
    with pytest.raises(TextEmpty):
        _encoder().encode(text)


def test_the_vocabulary_is_bounded_and_repeatable() -> None:
    fitted = [fit_tokenizer(TEXTS, 300, lowercase=True) for _ in range(2)]
    assert fitted[0].to_str() == fitted[1].to_str()
    assert 256 <= fitted[0].get_vocab_size() <= 300
    assert fit_tokenizer(TEXTS, 1, lowercase=True).get_vocab_size() == 256
