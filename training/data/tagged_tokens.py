"""Sentences with tags → rows of tokens with targets, and tags of words back from the tokens' scores.

Words of a file are split further by the rule that the service has for its callers' texts
(`models.transforms.words`), so that the network learns from the very pieces it will be given. The first
piece of a word bears its tag, the others go on with it; the loss is taken at the first token of a piece.
Letters: W words, P pieces, T tokens, K tags.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.transforms.tags import OUTSIDE, TagDecoder, word_probabilities
from models.transforms.words import NO_WORD, WordEncoder, split_words_batch
from training.data.padded_loader import IGNORED, TokenRow
from training.data.tagged_text import TaggedSentence

TARGETS = "targets"


@dataclass(frozen=True)
class TaggedTokens:
    """One sentence. `row` has the graph's inputs and `targets` int64 [T], IGNORED where a token has
    none; `piece_of_token` int64 [T], `word_of_piece` int64 [P]."""

    row: TokenRow
    piece_of_token: NDArray[np.int64]
    word_of_piece: NDArray[np.int64]
    words: int
    is_cut: bool


def tagged_tokens(
    sentences: Sequence[TaggedSentence], encoder: WordEncoder, labels: Sequence[str]
) -> list[TaggedTokens]:
    """Sentences that are too long are cut; what was cut off has no target."""
    index = {label: position for position, label in enumerate(labels)}
    pieces: list[list[str]] = []
    owners: list[list[int]] = []
    targets: list[NDArray[np.int64]] = []
    for sentence in sentences:
        places = [
            (number, sentence.words[number][start:end])
            for number, word_places in enumerate(split_words_batch(sentence.words))
            for start, end in word_places
        ]
        owners.append([number for number, _ in places])
        pieces.append([piece for _, piece in places])
        targets.append(_targets(owners[-1], sentence.tags, index))
    rows = []
    for encoded, mine, its_targets, sentence in zip(
        encoder.encode_batch(pieces), owners, targets, sentences, strict=True
    ):
        of_tokens = np.full(len(encoded.word_ids), IGNORED, dtype=np.int64)
        first = encoded.first_tokens(len(mine))
        has_token = first != NO_WORD
        of_tokens[first[has_token]] = its_targets[has_token]
        rows.append(
            TaggedTokens(
                row={**encoded.row, TARGETS: of_tokens},
                piece_of_token=encoded.word_ids,
                word_of_piece=np.array(mine, dtype=np.int64),
                words=len(sentence.words),
                is_cut=encoded.is_cut,
            )
        )
    return rows


def word_tags(logits: NDArray[np.float32], tokens: TaggedTokens, decoder: TagDecoder) -> list[str]:
    """The tag of each word of the file from `logits` [T, K]: that of its first piece, as served.

    Words of which no token is left, because the sentence was cut, are outside.
    """
    pieces, probabilities = word_probabilities(logits, tokens.piece_of_token)
    path = decoder.best(probabilities)
    tags = [OUTSIDE] * tokens.words
    # Backwards, so that of a word's pieces the first is written last.
    for piece, tag in zip(pieces[::-1], path[::-1], strict=True):
        tags[tokens.word_of_piece[piece]] = decoder.labels[tag]
    return tags


def _targets(
    owners: Sequence[int], tags: Sequence[str], index: dict[str, int]
) -> NDArray[np.int64]:
    targets = np.zeros(len(owners), dtype=np.int64)
    for piece, word in enumerate(owners):
        tag = tags[word]
        is_first = not piece or owners[piece - 1] != word
        if not is_first and tag.startswith("B-"):
            tag = f"I-{tag[2:]}"
        targets[piece] = index[tag]
    return targets
