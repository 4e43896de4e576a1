"""Tokenizers of language models, all over bytes, so that every text can be encoded.

Source: Sennrich et al. 2016 (arXiv:1508.07909), over bytes as in Radford et al. 2019. Text is first cut
into pieces that no token crosses: a line break with the indentation after it, a word or number with the
space before it, punctuation. The indentation piece is what makes Python short: a new line at any depth
costs one token.

Three kinds: `bytes` has no merges at all; `characters` merges the bytes of each character that the
training texts hold, and nothing further (any other character stays in bytes); `bpe` learns merges.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

Kind = Literal["bytes", "characters", "bpe"]

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0

_PIECES = (
    r"\r?\n[ \t]*"  # a line break and the indentation of the next line
    r"| ?\p{{L}}+"  # a word
    r"| ?\p{{N}}{{1,{digits}}}"
    r"| ?[^\s\p{{L}}\p{{N}}]+"  # punctuation, operators, underscores
    r"|\s+"
)


def train_tokenizer(
    texts: Iterable[str],
    vocabulary: int,
    kind: Kind = "bpe",
    *,
    special: Sequence[str] = (),
    digits: int = 3,
) -> Tokenizer:
    """`vocabulary` counts all tokens of kind bpe: the end of text (id 0), the other `special` ones,
    256 bytes, then merges; the other kinds are as large as they must be. `digits`: most of a number
    in one token."""
    specials = [END_OF_TEXT, *special]
    if kind == "bpe":
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer = _over_bytes(models.BPE(), digits)
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer
    names = [*specials, *_BYTE_NAMES]
    merges = _character_merges(texts) if kind == "characters" else []
    names += dict.fromkeys(first + second for first, second in merges)
    model = models.BPE(vocab={name: token for token, name in enumerate(names)}, merges=merges)
    tokenizer = _over_bytes(model, digits)
    tokenizer.add_special_tokens(specials)
    return tokenizer


def token_sizes(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """How many bytes and characters of text every token stands for, int64 [vocabulary, 2]; added
    tokens such as the end of text stand for none.

    A character is counted where its first byte is, so that the sizes of a text's tokens add up.
    """
    sizes = np.zeros((tokenizer.get_vocab_size(), 2), np.int64)
    added = tokenizer.get_added_tokens_decoder()
    for token in range(len(sizes)):
        if token not in added:
            name = tokenizer.id_to_token(token) or ""
            sizes[token] = len(name), sum(sign not in _CONTINUATIONS for sign in name)
    return sizes


def _over_bytes(model: models.Model, digits: int) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES.format(digits=digits)), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _byte_names() -> list[str]:
    """The character that stands for each byte in the byte-level alphabet: itself where it is visible,
    one from U+0100 on where it is not."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(hidden)) for byte in range(256)]


_BYTE_NAMES = _byte_names()
_CONTINUATIONS = frozenset(_BYTE_NAMES[0x80:0xC0])  # every byte of a character but its first


def _character_merges(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Merges that build each character of the texts from the left; none reaches beyond it, because
    only a character's first byte can begin one."""
    characters = sorted({sign for text in texts for sign in text})
    merges: dict[tuple[str, str], None] = {}
    for character in characters:
        names = [_BYTE_NAMES[byte] for byte in character.encode()]
        for end in range(1, len(names)):
            merges["".join(names[:end]), names[end]] = None
    return list(merges)
