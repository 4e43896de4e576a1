"""Words of a text and their tokens, for models that answer about words. Letters: W words, T tokens.

The rule, the same for a training file and for a caller's text: a word is a run of letters, marks, digits
and underscores; a Chinese or Japanese character is a word by itself; so is every other visible sign, an
emoji with all its parts included. Spaces part words and are no part of any. The text itself is never
changed: places are counted in its own code points, whatever normal form it has.

The tokenizer is given the words one by one, so spaces between them make no difference.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from models.blocks import TextPreprocessing
from models.errors import TextEmpty, TextTooLong
from models.transforms.text import Row, TextEncoder, require_unicode

NO_WORD = -1  # of a token that belongs to no word: the tokenizer's special ones

_IDEOGRAPH = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_LETTER = r"[\p{L}\p{N}_&&[^\p{Han}\p{Hiragana}\p{Katakana}]]"
# Zero-width joiners belong to the spelling of Persian and of Indian languages.
_FOLLOWING = r"[\p{L}\p{M}\p{N}_\x{200c}\x{200d}&&[^\p{Han}\p{Hiragana}\p{Katakana}]]"
_RULE = rf"{_IDEOGRAPH}\p{{M}}*|{_LETTER}{_FOLLOWING}*|(?!\s)\X"
# A text is read up to so many times the length that should do, before it is called too long.
_PATIENCE = 16


def _splitter() -> Tokenizer:
    """A whole tokenizer for the sake of its `encode_batch`, which lets other threads run meanwhile."""
    splitter = Tokenizer(models.WordLevel({"?": 0}, "?"))
    splitter.pre_tokenizer = pre_tokenizers.Split(Regex(_RULE), "removed", invert=True)
    return splitter


_SPLITTER = _splitter()

Place = tuple[int, int]
"""Start and end, in code points of the text; the end is the first that is outside."""


def split_words(text: str) -> list[Place]:
    """Places of the words of `text`, in order."""
    places: list[Place] = _SPLITTER.encode_batch([text])[0].offsets
    return places


def split_words_batch(texts: Sequence[str]) -> list[list[Place]]:
    """As `split_words`, for many texts at once."""
    return [encoding.offsets for encoding in _SPLITTER.encode_batch(list(texts))]


@dataclass(frozen=True, slots=True)
class EncodedWords:
    """`row` is what the graph takes. `word_ids` int64 [T]: which word a token is of, or NO_WORD."""

    row: Row
    word_ids: np.ndarray
    is_cut: bool

    def first_tokens(self, words: int) -> np.ndarray:
        """int64 [W]: each word's first token; NO_WORD for a word that has none, because the tokenizer
        drops such signs or because the text was cut before it."""
        first = np.full(words, NO_WORD, dtype=np.int64)
        tokens = np.flatnonzero(self.word_ids != NO_WORD)[::-1]
        first[self.word_ids[tokens]] = tokens  # of a word's tokens the first is written last
        return first


class WordEncoder:
    """Executes a TextPreprocessing block, word by word. Thread-safe after construction."""

    def __init__(self, tokenizer_json: str, block: TextPreprocessing) -> None:
        self.block = block
        self.tokenizer_json = tokenizer_json
        self.tokenizer = TextEncoder(_with_spaces(tokenizer_json), block).tokenizer
        longest = max((len(token) for token in self.tokenizer.get_vocab()), default=1)
        # As in TextEncoder: a text beyond this hardly fits, and is read up to there first.
        self._max_chars = (block.max_tokens + 1) * (longest + 1)

    def encode_text(self, text: str, *, truncate: bool) -> tuple[list[Place], EncodedWords]:
        """The words' places in `text`, and their tokens.

        Raises TextEmpty, TextTooLong when `truncate` is false, InputError for what is not Unicode.
        """
        require_unicode((text,))
        places, encoded = self._read(text[: self._max_chars])
        is_cut = encoded.is_cut
        if len(text) > self._max_chars and not encoded.is_cut:
            # Long stretches of spaces, or of what becomes a single unknown token, leave room for more.
            kept = text[: _PATIENCE * self._max_chars]
            places, encoded = self._read(kept)
            is_cut = len(kept) < len(text) or encoded.is_cut
        if is_cut and not truncate:
            raise TextTooLong(
                f"the text has more than {self.block.max_tokens} tokens; shorten it or ask for "
                "truncation"
            )
        if not (encoded.word_ids != NO_WORD).any():
            raise TextEmpty("the text holds no word; send at least one visible character")
        return places, encoded

    def encode(self, words: Sequence[str]) -> EncodedWords:
        """Cut to the block's `max_tokens`."""
        return self.encode_batch([words])[0]

    def encode_batch(self, sentences: Sequence[Sequence[str]]) -> list[EncodedWords]:
        """As `encode`, for many at once (the tokenizer works on several cores)."""
        encodings = self.tokenizer.encode_batch(
            [list(words) for words in sentences], is_pretokenized=True
        )
        return [
            self._encoded(encoding.ids, encoding.word_ids, bool(encoding.overflowing))
            for encoding in encodings
        ]

    def _read(self, text: str) -> tuple[list[Place], EncodedWords]:
        places = split_words(text)
        return places, self.encode([text[start:end] for start, end in places])

    def _encoded(
        self, ids: Sequence[int], word_ids: Sequence[int | None], is_cut: bool
    ) -> EncodedWords:
        block, tokens = self.block, np.asarray(ids, dtype=np.int64)
        row = {block.ids_input: tokens}
        if block.mask_input is not None:
            row[block.mask_input] = np.ones_like(tokens)
        if block.type_ids_input is not None:
            row[block.type_ids_input] = np.zeros_like(tokens)
        words = [NO_WORD if word is None else word for word in word_ids]
        return EncodedWords(row, np.asarray(words, dtype=np.int64), is_cut)


def _with_spaces(tokenizer_json: str) -> str:
    """The same tokenizer, before every word a space: GPT-2's and its kin know a word in running text by
    the space before it, and single words have none."""
    document = json.loads(tokenizer_json)
    step = document.get("pre_tokenizer") or {}
    for each in (step, *step.get("pretokenizers", ())):
        if each.get("type") == "ByteLevel":
            each["add_prefix_space"] = True
    return json.dumps(document, ensure_ascii=False)
