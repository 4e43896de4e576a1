"""A byte-level BPE tokenizer fitted to the training documents, so that every text can be encoded.

Source: Sennrich et al. 2016 (arXiv:1508.07909), over bytes as in Radford et al. 2019. Text is first cut
into pieces that no token crosses: a line break with the indentation after it, a word or number with the
space before it, punctuation. The indentation piece is what makes Python short: a new line at any depth
costs one token.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0

_PIECES = (
    r"\r?\n[ \t]*"  # a line break and the indentation of the next line
    r"| ?\p{L}+"  # a word
    r"| ?\p{N}{1,3}"  # digits in threes
    r"| ?[^\s\p{L}\p{N}]+"  # punctuation, operators, underscores
    r"|\s+"
)


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """`vocabulary` counts all tokens: the end of text (id 0), 256 bytes, then merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_bytes(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """How many bytes of text every token stands for, int64 [vocabulary]; the end of text for none."""
    # In the byte-level alphabet each byte is written as one character.
    sizes = [len(tokenizer.id_to_token(token) or "") for token in range(tokenizer.get_vocab_size())]
    sizes[END_OF_TEXT_ID] = 0
    return np.array(sizes, np.int64)
