"""Training texts cut into tokens in several ways, so that unknown words are not all surprises.

A BPE tokenizer writes the words it was fitted to in long tokens and other words in short ones, which a
network then hardly knows. BPE-dropout (Provilkov et al. 2020, arXiv:1910.13267) leaves out merges at
random. The tokenizer library's own dropout cannot be seeded, so that here a number of tokenizers is
made, each without its own random part of the merges; ids stay the same.
"""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from numpy.typing import NDArray

from models.transforms.text import TextEncoder

_TOKENIZERS = 32
_UNCHANGED = 0.5  # part of the texts that is read as it will be when served


def encode_varied(
    texts: Sequence[str], encoder: TextEncoder, dropout: float, seed: int
) -> list[NDArray[Any]]:
    """Ids int64 [T] of each text; `dropout` is the part of the merges left out of half of them."""
    if dropout == 0:
        return [row[encoder.block.ids_input] for row in encoder.encode_batch(texts)]
    random = Random(seed)
    encoders = [_without_merges(encoder, dropout, random) for _ in range(_TOKENIZERS)]
    groups: dict[int, list[int]] = {}
    for row in range(len(texts)):
        choice = -1 if random.random() < _UNCHANGED else random.randrange(_TOKENIZERS)
        groups.setdefault(choice, []).append(row)
    ids: dict[int, NDArray[Any]] = {}
    for choice, rows in groups.items():
        chosen = encoder if choice < 0 else encoders[choice]
        encoded = chosen.encode_batch([texts[row] for row in rows])
        ids |= {row: item[encoder.block.ids_input] for row, item in zip(rows, encoded, strict=True)}
    return [ids[row] for row in range(len(texts))]


def _without_merges(encoder: TextEncoder, part: float, random: Random) -> TextEncoder:
    """The same vocabulary; words that need a missing merge stay in pieces."""
    description = json.loads(encoder.tokenizer.to_str())
    model = description["model"]
    model["merges"] = [merge for merge in model["merges"] if random.random() >= part]
    return TextEncoder(json.dumps(description), encoder.block)
