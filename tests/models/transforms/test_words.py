"""A word is the same thing in a training file and in a caller's text, and its place is the caller's."""

import itertools
import threading
import time
import unicodedata

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from models.blocks import TextPreprocessing
from models.errors import InputError, TextEmpty, TextTooLong
from models.transforms.words import NO_WORD, WordEncoder, split_words
from training.data.text_tokenizer import fit_tokenizer

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "R.H. Saunders' (O'Brien),",
            ["R", ".", "H", ".", "Saunders", "'", "(", "O", "'", "Brien", ")", ","],
        ),
        ("  two\t\nlines \r\n", ["two", "lines"]),
        ("snake_case 3rd x2", ["snake_case", "3rd", "x2"]),
        ("\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd!", ["שלום", "עולם", "!"]),
        (f"a {FAMILY}b", ["a", FAMILY, "b"]),
        ("\u6771\u4eac\u30bf\u30ef\u30fc", list("東京タワー")),
        ("\ud55c\uad6d\uc5b4", ["한국어"]),
        ("\u0645\u06cc\u200c\u0631\u0648\u0645", ["می\u200cروم"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 x", ["हिन्दी", "x"]),
        ("a\x00b", ["a", "\x00", "b"]),
        ("", []),
        (" \u00a0\u3000\n", []),
    ],
)
def test_the_rule_of_words(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_normal_form_makes_no_difference_to_words(form: str) -> None:
    text = unicodedata.normalize(form, "Zürich, naïve Ångström")  # type: ignore[arg-type]
    assert [unicodedata.normalize("NFC", word) for word in pieces(text)] == [
        "Zürich",
        ",",
        "naïve",
        "Ångström",
    ]


def test_words_cover_everything_but_spaces_in_order() -> None:
    text = f"Mix {FAMILY} of — signs… 東x é\u0301\u0301 \U0001f1e9\U0001f1ea"
    places = split_words(text)
    assert "".join(text[start:end] for start, end in places) == "".join(text.split())
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places))


def dropping() -> str:
    """A tokenizer as BERT's: whole words, signs without a picture dropped, others unknown."""
    names = ["[UNK]", "anna", "met", "karl", ".", "a"]
    tokenizer = Tokenizer(
        models.WordPiece(
            {name: place for place, name in enumerate(names)},
            unk_token="[UNK]",
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return str(tokenizer.to_str())


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder(dropping(), TextPreprocessing(max_tokens=6))


def test_tokens_know_their_words_and_words_without_tokens_have_none(encoder: WordEncoder) -> None:
    places, encoded = encoder.encode_text("Anna \x00 met Karl.", truncate=False)
    assert places == [(0, 4), (5, 6), (7, 10), (11, 15), (15, 16)]
    assert encoded.word_ids.tolist() == [0, 2, 3, 4]
    assert encoded.first_tokens(len(places)).tolist() == [0, NO_WORD, 1, 2, 3]
    assert encoded.row["input_ids"].tolist() == [1, 2, 3, 4]
    assert encoded.row["attention_mask"].tolist() == [1, 1, 1, 1]


def test_spaces_between_words_make_no_difference(encoder: WordEncoder) -> None:
    _, near = encoder.encode_text("Anna met Karl.", truncate=False)
    _, far = encoder.encode_text("  Anna\n\nmet   Karl .", truncate=False)
    assert np.array_equal(near.row["input_ids"], far.row["input_ids"])


@pytest.mark.parametrize("text", ["a a a a a a a", "a " * 500_000, "a" + " \x00" * 300_000])
def test_a_text_that_is_too_long_is_refused_with_the_limit_or_cut_when_asked(
    encoder: WordEncoder, text: str
) -> None:
    with pytest.raises(TextTooLong, match="more than 6 tokens"):
        encoder.encode_text(text, truncate=False)
    places, encoded = encoder.encode_text(text, truncate=True)
    assert 1 <= len(encoded.row["input_ids"]) <= 6
    assert places[0] == (0, 1)


def test_a_long_stretch_of_spaces_is_not_a_long_text(encoder: WordEncoder) -> None:
    text = "anna" + " " * 300 + "karl"
    places, encoded = encoder.encode_text(text, truncate=False)
    assert encoded.row["input_ids"].tolist() == [1, 3]
    assert places[1] == (304, 308)


@pytest.mark.parametrize("text", ["", "  \n", "\x00\x00", "\u200d"])
def test_a_text_of_which_nothing_is_left_is_said_to_be_empty(
    encoder: WordEncoder, text: str
) -> None:
    with pytest.raises(TextEmpty):
        encoder.encode_text(text, truncate=False)


def test_half_a_surrogate_pair_is_the_callers_mistake(encoder: WordEncoder) -> None:
    with pytest.raises(InputError, match="not Unicode"):
        encoder.encode_text("a \ud83d b", truncate=False)


def test_byte_level_words_have_their_space_as_in_running_text() -> None:
    fitted = fit_tokenizer(["hello world hello world"] * 3, 300, lowercase=False)
    document = fitted.to_str().replace('"add_prefix_space":true', '"add_prefix_space":false')
    assert '"add_prefix_space":false' in document
    encoder = WordEncoder(document, TextPreprocessing(max_tokens=50))
    running = fitted.encode("hello world").ids
    assert encoder.encode(["hello", "world"]).row["input_ids"].tolist() == running


def test_splitting_a_long_text_lets_other_threads_run() -> None:
    beats: list[float] = []
    done = threading.Event()

    def beat() -> None:
        while not done.is_set():
            beats.append(time.perf_counter())
            done.wait(0.002)

    thread = threading.Thread(target=beat)
    thread.start()
    began = time.perf_counter()
    split_words("a\x01" * 200_000)
    took = time.perf_counter() - began
    done.set()
    thread.join()
    longest = max(np.diff(beats), default=0.0)
    assert longest < max(0.1, 0.75 * took)
