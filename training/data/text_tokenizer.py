"""The tokenizer of text classifiers: byte-level BPE over normalised text, fitted to the training texts.

Written as tokenizer.json and executed by `models.transforms.text`, here and in the service. Every
script can be written with it, because what was never seen falls back to bytes. No id is reserved: the
attention mask alone says what is padding, so no text a caller sends can be taken for it.

Source: Sennrich et al. 2016 (arXiv:1508.07909), over bytes as in Radford et al. 2019.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

_BYTES = 256


def fit_tokenizer(texts: Iterable[str], vocabulary: int, *, lowercase: bool) -> Tokenizer:
    """At most `vocabulary` tokens (≥ 256), the same for the same texts in the same order."""
    tokenizer = Tokenizer(models.BPE())
    steps = [
        normalizers.NFKC(),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
        *([normalizers.Lowercase()] if lowercase else []),
    ]
    tokenizer.normalizer = normalizers.Sequence(steps)
    # The first word gets a space as well: a word is the same token wherever it stands.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=max(vocabulary, _BYTES),
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
