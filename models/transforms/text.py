"""Text: string → token ids, and rows of different length → one padded batch. Letters: T tokens."""

from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer

from models.blocks import TextPreprocessing
from models.errors import InputError, TextEmpty, TextTooLong
from models.manifest import TensorSpec

Row = dict[str, np.ndarray]


class TextEncoder:
    """Executes a TextPreprocessing block. Thread-safe after construction."""

    def __init__(self, tokenizer_json: str, block: TextPreprocessing) -> None:
        self.block = block
        self.tokenizer = Tokenizer.from_str(tokenizer_json)
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length=block.max_tokens)
        # No token is longer than this, so a text beyond the product cannot fit and need not be read whole.
        longest = max((len(token) for token in self.tokenizer.get_vocab()), default=1)
        self._max_chars = (block.max_tokens + 1) * (longest + 1)

    def encode(self, text: str, *, truncate: bool = True) -> Row:
        """ids int64 [T] and, where the block names a mask, ones int64 [T].

        Raises TextEmpty when nothing is left of the text, TextTooLong when `truncate` is false and it
        has more than `max_tokens` tokens.
        """
        return self.encode_batch([text], truncate=truncate)[0]

    def encode_batch(self, texts: Sequence[str], *, truncate: bool = True) -> list[Row]:
        """As `encode`, for many texts at once (the tokenizer works on several cores)."""
        too_long = [len(text) > self._max_chars for text in texts]
        encodings = self.tokenizer.encode_batch_fast([text[: self._max_chars] for text in texts])
        rows = []
        for encoding, cut in zip(encodings, too_long, strict=True):
            if not truncate and (cut or encoding.overflowing):
                raise TextTooLong(
                    f"the text has more than {self.block.max_tokens} tokens; shorten it or ask for truncation"
                )
            ids = np.asarray(encoding.ids, dtype=np.int64)
            if not ids.size:
                raise TextEmpty("the text is empty; send at least one character")
            row = {self.block.ids_input: ids}
            if self.block.mask_input is not None:
                row[self.block.mask_input] = np.ones_like(ids)
            rows.append(row)
        return rows


def pad_batch(rows: Sequence[Mapping[str, np.ndarray]], specs: Sequence[TensorSpec]) -> Row:
    """Stack rows (without batch axis) into batched arrays, padding only the axes that a spec allows.

    Raises InputError when rows differ in an axis that may not be padded.
    """
    return {spec.name: _stack([row[spec.name] for row in rows], spec) for spec in specs}


def _stack(arrays: list[np.ndarray], spec: TensorSpec) -> np.ndarray:
    axis = spec.batch_axis if spec.batch_axis is not None else 0
    if all(array.shape == arrays[0].shape for array in arrays):
        return np.stack(arrays, axis)
    item_axes = [name for position, name in enumerate(spec.shape) if position != axis]
    if len({array.ndim for array in arrays}) != 1:
        raise InputError(f"input {spec.name!r}: items of one batch differ in rank")
    shape = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    for position, name in enumerate(item_axes):
        differs = len({array.shape[position] for array in arrays}) > 1
        if differs and name not in spec.pad_axes:
            raise InputError(f"input {spec.name!r}: items of one batch differ in axis {name!r}")
    fill = False if arrays[0].dtype == bool else spec.pad_value
    padded = np.full((len(arrays), *shape), fill, dtype=arrays[0].dtype)
    for index, array in enumerate(arrays):
        corner = tuple(slice(size) for size in array.shape)
        padded[index][corner] = array
    return np.moveaxis(padded, 0, axis)
