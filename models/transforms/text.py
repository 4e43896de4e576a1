"""Text: string → token ids, and rows of different length → one padded batch. Letters: T tokens.

Executed by training and by the service alike. Pairs (question and context, query and document) and the
places of tokens in the caller's text are read here too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from models.blocks import TextPreprocessing
from models.errors import InputError, TextEmpty, TextTooLong
from models.manifest import TensorSpec
from models.transforms.offsets import settled

Row = dict[str, np.ndarray]

# A longer second text would make a request of more items than the server takes at once.
MOST_WINDOWS = 64


@dataclass(frozen=True)
class EncodedText:
    """One item and where its tokens stand. `offsets` int64 [T, 2]: from and to in the characters of the
    caller's text (of the second one where `sequence` is 1); `sequence` int64 [T]: 0 the text, or the
    first of a pair, 1 the second, −1 special tokens, whose offsets are 0."""

    row: Row
    offsets: np.ndarray
    sequence: np.ndarray


class TextEncoder:
    """Executes a TextPreprocessing block. Thread-safe after construction."""

    def __init__(self, tokenizer_json: str, block: TextPreprocessing) -> None:
        self.block = block
        self.tokenizer = Tokenizer.from_str(tokenizer_json)
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length=block.max_tokens)
        self._whole = Tokenizer.from_str(tokenizer_json)
        self._whole.no_padding()
        self._whole.no_truncation()
        if block.stride_tokens:
            self._windowed = Tokenizer.from_str(tokenizer_json)
            self._windowed.no_padding()
            self._windowed.enable_truncation(
                max_length=block.max_tokens, stride=block.stride_tokens, strategy="only_second"
            )
        # Few tokens are longer than this. A text beyond the product hardly fits, and is read up to there
        # first: where that is too much already, the rest need not be read.
        longest = max((len(token) for token in self.tokenizer.get_vocab()), default=1)
        self._max_chars = (block.max_tokens + 1) * (longest + 1)

    def encode(self, text: str, *, truncate: bool = True) -> Row:
        """ids int64 [T] and, where the block names them, a mask of ones and type ids of zeros.

        Raises TextEmpty when nothing is left of the text, TextTooLong when `truncate` is false and it
        has more than `max_tokens` tokens.
        """
        return self.encode_batch([text], truncate=truncate)[0]

    def encode_batch(self, texts: Sequence[str], *, truncate: bool = True) -> list[Row]:
        """As `encode`, for many texts at once (the tokenizer works on several cores)."""
        encodings = self.tokenizer.encode_batch_fast(self._beginnings(texts))
        for index, text in enumerate(texts):
            if self._is_unread(text, encodings[index]):
                encodings[index] = self.tokenizer.encode(text)
        return [self._row(encoding, truncate=truncate) for encoding in encodings]

    def encode_offsets(self, text: str, *, truncate: bool = True) -> EncodedText:
        """As `encode`, and where each token stands in `text`."""
        return self.encode_offsets_batch([text], truncate=truncate)[0]

    def encode_offsets_batch(
        self, texts: Sequence[str], *, truncate: bool = True
    ) -> list[EncodedText]:
        encodings = self.tokenizer.encode_batch(self._beginnings(texts))
        answers = []
        for text, first in zip(texts, encodings, strict=True):
            encoding = self.tokenizer.encode(text) if self._is_unread(text, first) else first
            answers.append(self._placed(encoding, (text,), truncate=truncate))
        return answers

    def encode_pair(self, first: str, second: str, *, truncate: bool = True) -> list[EncodedText]:
        """Two texts as one item or, where the block has `stride_tokens`, as the windows of `second`,
        each after the whole of `first`.

        Raises TextEmpty naming the text, TextTooLong when `first` leaves no room, when `second` needs
        more than MOST_WINDOWS windows or, without windows, both together exceed `max_tokens`.
        `truncate` keeps what fits: of the longer text, or the first windows.
        """
        if self.block.stride_tokens:
            return self._windows(first, second, truncate=truncate)
        begins, goes_on = self._beginnings((first, second))
        encoding = self.tokenizer.encode(begins, goes_on)
        if not encoding.overflowing and (begins, goes_on) != (first, second):
            encoding = self.tokenizer.encode(first, second)
        _require_both(encoding)
        return [self._placed(encoding, (first, second), truncate=truncate)]

    def encode_pairs(self, pairs: Sequence[tuple[str, str]], *, truncate: bool = True) -> list[Row]:
        """One item each, without windows and without the tokens' places: as `encode_batch` for pairs.

        Raises as `encode_pair`.
        """
        shortened = [tuple(self._beginnings(pair)) for pair in pairs]
        encodings = self.tokenizer.encode_batch_fast(shortened)
        for index, pair in enumerate(pairs):
            if not encodings[index].overflowing and shortened[index] != pair:
                encodings[index] = self.tokenizer.encode(*pair)
            _require_both(encodings[index])
        return [self._row(encoding, truncate=truncate) for encoding in encodings]

    def encode_whole(self, texts: Sequence[str], *, special: bool) -> list[Encoding]:
        """Never cut; `special`: with the tokens that the tokenizer adds. Raises InputError."""
        require_unicode(texts)
        encodings: list[Encoding] = self._whole.encode_batch(
            list(texts), add_special_tokens=special
        )
        return encodings

    def _windows(self, first: str, second: str, *, truncate: bool) -> list[EncodedText]:
        block = self.block
        require_unicode((first, second))
        head = self._whole.encode(first[: self._max_chars], add_special_tokens=False)
        limit_chars = self._max_chars * MOST_WINDOWS
        room = (
            block.max_tokens - len(head.ids) - self._whole.num_special_tokens_to_add(is_pair=True)
        )
        # Every window must bring something new.
        if room <= block.stride_tokens or len(first) > self._max_chars:
            raise TextTooLong(
                f"the first text has {len(head.ids)} tokens or more, which leaves too little of "
                f"{block.max_tokens} tokens for the second; shorten it"
            )
        # Putting windows together by `post_process` loses type ids and sequences of all but the first.
        whole = self._windowed.encode(first, second[:limit_chars])
        windows = [whole, *whole.overflowing]
        _require_both(whole)
        if len(windows) > MOST_WINDOWS or len(second) > limit_chars:
            if not truncate:
                raise TextTooLong(
                    f"the second text fills more than {MOST_WINDOWS} windows of {room} tokens; "
                    "shorten it or ask for truncation"
                )
            windows = windows[:MOST_WINDOWS]
        return [self._placed(window, (first, second), truncate=True) for window in windows]

    def _placed(self, encoding: Encoding, texts: tuple[str, ...], *, truncate: bool) -> EncodedText:
        row = self._row(encoding, truncate=truncate)
        sequence = np.array([-1 if s is None else s for s in encoding.sequence_ids], np.int64)
        return EncodedText(row, settled(encoding.offsets, sequence, texts), sequence)

    def _row(self, encoding: Encoding, *, truncate: bool) -> Row:
        if not truncate and encoding.overflowing:
            raise TextTooLong(
                f"the text has more than {self.block.max_tokens} tokens; shorten it or ask for truncation"
            )
        if all(encoding.special_tokens_mask):
            raise TextEmpty("the text is empty; send at least one character")
        ids = np.asarray(encoding.ids, dtype=np.int64)
        row = {self.block.ids_input: ids}
        if self.block.mask_input is not None:
            row[self.block.mask_input] = np.ones_like(ids)
        if self.block.type_ids_input is not None:
            row[self.block.type_ids_input] = np.asarray(encoding.type_ids, dtype=np.int64)
        return row

    def _beginnings(self, texts: Sequence[str]) -> list[str]:
        require_unicode(texts)
        return [text[: self._max_chars] for text in texts]

    def _is_unread(self, text: str, encoding: Encoding) -> bool:
        """True where the text goes on behind what was read of it, and that has left room: long
        stretches of spaces, or of what becomes a single unknown token."""
        return len(text) > self._max_chars and not encoding.overflowing


def require_unicode(texts: Sequence[str]) -> None:
    """Raises InputError for half a surrogate pair, which JSON can say and no tokenizer reads."""
    for text in texts:
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise InputError(f"the text is not Unicode (character {error.start})") from error


def _require_both(encoding: Encoding) -> None:
    for number, name in enumerate(("first", "second")):
        if number not in encoding.sequence_ids:
            raise TextEmpty(f"the {name} text is empty; send at least one character")


def pad_batch(
    rows: Sequence[Mapping[str, np.ndarray]],
    specs: Sequence[TensorSpec],
    least: Mapping[str, int] | None = None,
) -> Row:
    """Stack rows (without batch axis) into batched arrays, padding only the axes that a spec allows.

    `least`: axis → how long it becomes at least, where it may be padded. Raises InputError when rows differ
    in an axis that may not be padded.
    """
    return {
        spec.name: _stack([row[spec.name] for row in rows], spec, least or {}) for spec in specs
    }


def _stack(arrays: list[np.ndarray], spec: TensorSpec, least: Mapping[str, int]) -> np.ndarray:
    axis = spec.batch_axis if spec.batch_axis is not None else 0
    if not least and all(array.shape == arrays[0].shape for array in arrays):
        return np.stack(arrays, axis)
    item_axes = [name for position, name in enumerate(spec.shape) if position != axis]
    if len({array.ndim for array in arrays}) != 1:
        raise InputError(f"input {spec.name!r}: items of one batch differ in rank")
    shape = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    for position, name in enumerate(item_axes):
        differs = len({array.shape[position] for array in arrays}) > 1
        if differs and name not in spec.pad_axes:
            raise InputError(f"input {spec.name!r}: items of one batch differ in axis {name!r}")
        if name in spec.pad_axes:
            shape[position] = max(shape[position], least.get(str(name), 0))
    fill = False if arrays[0].dtype == bool else spec.pad_value
    padded = np.full((len(arrays), *shape), fill, dtype=arrays[0].dtype)
    for index, array in enumerate(arrays):
        corner = tuple(slice(size) for size in array.shape)
        padded[index][corner] = array
    return np.moveaxis(padded, 0, axis)
