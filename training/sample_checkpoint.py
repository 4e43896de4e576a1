"""A checkpoint made on the spot: a small BERT with random weights, in the layout that others publish.

Stands in for a downloaded one where there is none: the recipes of pretrained encoders run without any
file, and all that happens to a real checkpoint happens to this one. It has learned nothing.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from training.checkpoints import quiet_transformers

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_sample_encoder(
    folder: Path,
    texts: Iterable[str],
    *,
    seed: int,
    width: int = 32,
    layers: int = 2,
    max_tokens: int = 128,
    most_words: int = 2000,
) -> None:
    """config.json, model.safetensors, tokenizer.json and tokenizer_config.json in `folder`, the same
    for the same texts and seed. Words come from `texts`; others are spelt in letters."""
    from transformers import BertConfig, BertModel

    tokenizer = _word_pieces(texts, most_words)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=max_tokens,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=()), quiet_transformers():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")
    } | {"model_max_length": max_tokens, "tokenizer_class": "BertTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names), encoding="utf-8")


def _word_pieces(texts: Iterable[str], most_words: int) -> Tokenizer:
    """Built here and not by the library's trainer, whose order among equals changes between runs."""
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        pieces = splitter.pre_tokenize_str(normalizer.normalize_str(text))
        counts.update(word for word, _ in pieces)
    letters = sorted({letter for word in counts for letter in word})
    words = sorted(counts, key=lambda word: (-counts[word], word))[:most_words]
    entries = [*_SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(entries))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=_SPECIAL[1]))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(_SPECIAL))
    return tokenizer
