"""What a language model has to beat: compressors, and an order-n model of bytes.

All answer in bits per byte on the same held-out text. The order-n model interpolates the counts of
every shorter context by Witten and Bell's rule (Witten & Bell 1991, method C; the interpolated form of
Chen & Goodman 1998), down to the uniform distribution over 256 bytes. It is fitted on the same training
text as the network; a compressor learns from the held-out text alone, as it goes.
"""

import bz2
import gzip
import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
Array = NDArray[Any]


def compressors_bits_per_byte(text: bytes) -> dict[str, float]:
    """The whole text as one stream, each at its highest level."""
    packed = {
        "gzip": gzip.compress(text, 9, mtime=0),
        "bz2": bz2.compress(text, 9),
        "lzma": lzma.compress(text, preset=9 | lzma.PRESET_EXTREME),
    }
    return {name: 8 * len(data) / len(text) for name, data in packed.items()}


class ByteModel:
    """p(byte | the `order` bytes before it), smoothed; contexts never cross a document's start."""

    def __init__(self, documents: Iterable[bytes], order: int) -> None:
        self.order = order
        texts = list(documents)
        self._levels = [
            _count(np.concatenate([_codes(text, size) for text in texts]))
            for size in range(order + 1)
        ]

    def bits(self, document: bytes) -> Array:
        """Bits that each byte of the document costs, float64 [bytes]."""
        probability: Array = np.full(len(document), 1 / 256)
        for size, level in enumerate(self._levels):
            probability = level.refine(_codes(document, size), probability)
        return np.asarray(-np.log2(probability))


@dataclass(frozen=True)
class _Level:
    """Counts for one context length. `pairs` (context and byte) and `contexts` ascend; `sums` are a
    context's occurrences, `kinds` its distinct successors."""

    pairs: Codes
    counts: Array
    contexts: Codes
    sums: Array
    kinds: Array

    def refine(self, codes: Codes, lower: Array) -> Array:
        """(count + kinds · lower) / (sum + kinds); a context that was never seen leaves `lower`."""
        counts = _look_up(self.pairs, self.counts, codes)
        sums = _look_up(self.contexts, self.sums, codes >> np.uint64(8))
        kinds = _look_up(self.contexts, self.kinds, codes >> np.uint64(8))
        mixed = (counts + kinds * lower) / np.where(sums > 0, sums + kinds, 1)
        return np.where(sums > 0, mixed, lower)


def _count(codes: Codes) -> _Level:
    pairs, counts = np.unique(codes, return_counts=True)
    contexts, starts = np.unique(pairs >> np.uint64(8), return_index=True)
    kinds = np.diff(np.append(starts, len(pairs)))
    return _Level(pairs, counts, contexts, np.add.reduceat(counts, starts), kinds)


def _codes(document: bytes, size: int) -> Codes:
    """Per byte: itself in the low 8 bits, the `size` bytes before it above, the nearest lowest.

    Before the document's first byte stand zeros, so that its start is a context like any other.
    """
    padded = np.frombuffer(b"\0" * size + document, np.uint8).astype(np.uint64)
    codes = padded[size:].copy()
    for back in range(1, size + 1):
        codes |= padded[size - back : len(padded) - back] << np.uint64(8 * back)
    return codes


def _look_up(keys: Codes, values: Array, wanted: Codes) -> Array:
    """values where keys == wanted, else 0; keys ascend."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
