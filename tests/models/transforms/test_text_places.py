"""Tokens point into the caller's own text, whatever the tokenizer made of it; pairs fit or become windows."""

from itertools import pairwise

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from models.blocks import TextPreprocessing
from models.errors import InputError, TextEmpty, TextTooLong
from models.transforms.text import MOST_WINDOWS, EncodedText, TextEncoder

ODD = (
    "hello wörld",
    "  Hello\n\n\tworld  ",
    "👩‍👩‍👧 and 🇩🇪!",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m",
    "مرحبا بالعالم",
    "\u202eabc\u202c def",
    "שָׁלוֹם עולם",
    "日本語の文章",
    "ﬁne ½ № Ⅳ",
    "a\0b",
    "x" * 300,
)


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["hello world " * 9, "abc def " * 5], trainer)
    return tokenizer


def _word_pieces() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=120, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    tokenizer.train_from_iterator([*ODD, "who is it mary jane "], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return tokenizer


TOKENIZERS = {"byte-level": _byte_level(), "word pieces": _word_pieces()}


def _encoder(
    kind: str = "word pieces", max_tokens: int = 512, stride_tokens: int = 0
) -> TextEncoder:
    block = TextPreprocessing(
        max_tokens=max_tokens, stride_tokens=stride_tokens, type_ids_input="token_type_ids"
    )
    return TextEncoder(TOKENIZERS[kind].to_str(), block)


def _parts(text: str, encoded: EncodedText, sequence: int = 0) -> list[str]:
    return [
        text[start:end]
        for (start, end), which in zip(
            encoded.offsets.tolist(), encoded.sequence.tolist(), strict=True
        )
        if which == sequence
    ]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", ODD)
def test_places_cover_every_letter_of_the_callers_text(kind: str, text: str) -> None:
    encoded = _encoder(kind).encode_offsets(text)
    covered = np.zeros(len(text), dtype=bool)
    for start, end in encoded.offsets.tolist():
        assert 0 <= start <= end <= len(text)
        covered[start:end] = True
    left = {text[index] for index in np.flatnonzero(~covered)}
    assert all(letter.isspace() or not letter.isprintable() for letter in left), left


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", ODD)
def test_places_go_forward_and_belong_to_the_same_ids(kind: str, text: str) -> None:
    encoder = _encoder(kind)
    encoded = encoder.encode_offsets(text)
    starts = encoded.offsets[encoded.sequence == 0][:, 0]
    assert (np.diff(starts) >= 0).all()
    plain = encoder.encode(text)
    assert plain.keys() == encoded.row.keys() == {"input_ids", "attention_mask", "token_type_ids"}
    assert all(np.array_equal(plain[name], encoded.row[name]) for name in plain)


def test_accents_written_apart_belong_to_their_word() -> None:
    text = "cafe\u0301 noir"
    first, second = _encoder().encode_offsets(text).offsets[[1, -2]].tolist()
    assert text[first[0]] == "c"
    assert text[: second[1]].endswith("noir")
    assert any(part.endswith("e\u0301") for part in _parts(text, _encoder().encode_offsets(text)))


def test_a_batch_is_what_its_texts_are_alone() -> None:
    encoder = _encoder("byte-level", max_tokens=16)
    together = encoder.encode_offsets_batch(ODD)
    for text, encoded in zip(ODD, together, strict=True):
        alone = encoder.encode_offsets(text)
        assert np.array_equal(alone.offsets, encoded.offsets)
        assert np.array_equal(alone.row["input_ids"], encoded.row["input_ids"])


def test_a_long_text_of_few_tokens_is_not_too_long() -> None:
    encoder = _encoder(max_tokens=8)
    for text in (" " * 50_000 + "mary", "z" * 100_000):
        row = encoder.encode(text, truncate=False)
        assert len(row["input_ids"]) <= 8
        encoded = encoder.encode_offsets(text, truncate=False)
        assert encoded.offsets[-2].tolist()[1] == len(text)


@pytest.mark.parametrize("text", ["", "  ", "\0"])
def test_special_tokens_alone_are_no_text(text: str) -> None:
    with pytest.raises(TextEmpty):
        _encoder().encode(text)
    with pytest.raises(TextEmpty):
        _encoder().encode_offsets(text)


def test_half_a_character_is_refused_with_its_place() -> None:
    for call in (_encoder().encode, _encoder().encode_offsets):
        with pytest.raises(InputError, match="character 2"):
            call("ab\ud83d")
    with pytest.raises(InputError, match="not Unicode"):
        _encoder(stride_tokens=2).encode_pair("ab", "\ud83d")


def test_a_pair_is_one_item_whose_second_text_is_marked() -> None:
    first, second = "who is it", "Mary  Jane"
    [pair] = _encoder().encode_pair(first, second)
    closing = len(pair.sequence) - 1
    assert pair.row["token_type_ids"].tolist() == [
        int(which == 1 or place == closing) for place, which in enumerate(pair.sequence.tolist())
    ]
    assert "".join(_parts(first, pair, 0)) == "whoisit"
    assert "".join(_parts(second, pair, 1)) == "MaryJane"
    assert (pair.sequence == -1).sum() == 3


def test_of_a_pair_the_longer_text_is_cut_when_asked() -> None:
    encoder = _encoder(max_tokens=16)
    with pytest.raises(TextTooLong, match="more than 16 tokens"):
        encoder.encode_pair("who", "mary " * 40, truncate=False)
    [pair] = encoder.encode_pair("who", "mary " * 40)
    assert len(pair.sequence) == 16
    assert "".join(_parts("who", pair, 0)) == "who"


def test_windows_overlap_by_the_stride_and_cover_the_second_text() -> None:
    encoder = _encoder(max_tokens=24, stride_tokens=5)
    first, second = "who is it", "mary and jane are here now " * 6
    windows = encoder.encode_pair(first, second, truncate=False)
    assert len(windows) > 2
    ends: list[list[list[int]]] = []
    for window in windows:
        assert len(window.sequence) <= 24
        assert "".join(_parts(first, window, 0)) == "whoisit"
        ends.append(window.offsets[window.sequence == 1].tolist())
    for before, after in pairwise(ends):
        assert before[-5:] == after[:5]
    places = {(start, end) for window in ends for start, end in window}
    assert "".join(second[a:b] for a, b in sorted(places)) == second.replace(" ", "")


def test_windows_have_a_limit_that_is_named_or_kept() -> None:
    encoder = _encoder(max_tokens=16, stride_tokens=2)
    with pytest.raises(TextTooLong, match=f"more than {MOST_WINDOWS} windows"):
        encoder.encode_pair("who", "mary " * 5000, truncate=False)
    assert len(encoder.encode_pair("who", "mary " * 5000)) == MOST_WINDOWS


def test_a_first_text_that_leaves_no_room_is_named() -> None:
    with pytest.raises(TextTooLong, match="first text"):
        _encoder(max_tokens=16, stride_tokens=4).encode_pair("who is it " * 9, "mary")


@pytest.mark.parametrize("stride", [0, 4])
@pytest.mark.parametrize(("first", "second"), [("", "mary"), ("who", ""), ("who", " \0")])
def test_an_empty_text_of_a_pair_is_named(stride: int, first: str, second: str) -> None:
    with pytest.raises(TextEmpty, match="first" if not first else "second"):
        _encoder(stride_tokens=stride).encode_pair(first, second)
