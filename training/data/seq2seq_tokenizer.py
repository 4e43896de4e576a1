"""Tokenizers of encoder–decoders: byte-level BPE, one for both sides or one each.

What is encoded ends with the end-of-text token, by the tokenizer's own file, so that a server needs no
rule of its own. Digits stand alone: numbers are copied more often than remembered.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, processors

from models.blocks import TextPreprocessing
from models.transforms.text import TextEncoder
from training.data.byte_tokenizer import END_OF_TEXT, END_OF_TEXT_ID, train_tokenizer
from training.data.subwords import encode_varied
from training.data.text_pairs import Pairs
from training.data.token_pairs import TokenPairs

_LONGEST_TOKENS = 1_048_576


def fit_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """BPE merges of `texts`, up to `vocabulary` tokens; encoding adds the end of text."""
    tokenizer = train_tokenizer(texts, vocabulary, digits=1)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END_OF_TEXT}", special_tokens=[(END_OF_TEXT, END_OF_TEXT_ID)]
    )
    return tokenizer


def encode_pairs(
    pairs: Pairs,
    tokenizers: tuple[Tokenizer, Tokenizer],
    prefix: str = "",
    dropout: float = 0.0,
    seed: int = 0,
) -> TokenPairs:
    """Both sides as tokens; `prefix` is put before each source; `dropout` leaves out that part of the
    merges in half of the texts (Provilkov et al. 2020)."""
    source = _encode([prefix + text for text in pairs.first], tokenizers[0], dropout, seed)
    answer = _encode(list(pairs.second), tokenizers[1], dropout, seed + 1)
    return TokenPairs(tuple(source), tuple(answer))


def within(pairs: TokenPairs, most_source: int, most_answer: int) -> NDArray[np.bool_]:
    """bool [N]: pairs of which neither side is too long."""
    source = np.array([len(row) for row in pairs.source])
    answer = np.array([len(row) for row in pairs.answer])
    result: NDArray[np.bool_] = (source <= most_source) & (answer <= most_answer)
    return result


def _encode(
    texts: Sequence[str], tokenizer: Tokenizer, dropout: float, seed: int
) -> list[NDArray[Any]]:
    block = TextPreprocessing(max_tokens=_LONGEST_TOKENS)
    return encode_varied(texts, TextEncoder(tokenizer.to_str(), block), dropout, seed)
