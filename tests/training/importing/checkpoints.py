"""Checkpoints made on the spot, in the library's own layout: real architectures, random weights.

Weights are enlarged, because random ones of the library's scale answer every input alike.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import nn

from training.checkpoints import quiet_transformers
from training.importing.samples import PAIRS, TEXTS

MAX_TOKENS = 96
_SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
_CORPUS = [*TEXTS, *(text for pair in PAIRS for text in pair)]


def save(folder: Path, network: nn.Module, *parts: Any) -> Path:
    """Network and processors in one folder."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.4)
            elif name.endswith("bias"):
                weight.normal_(0, 0.1)
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in (network, *parts):
            part.save_pretrained(folder)
    return folder


def word_pieces(**more: Any) -> Any:
    """As BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.WordPieceTrainer(
            vocab_size=200, limit_alphabet=90, special_tokens=special, show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.decoder = decoders.WordPiece()
    return _wrapped(tokenizer, "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", **more)


def byte_pairs() -> Any:
    """As RoBERTa's: bytes, no unknown token, the space belongs to the word behind it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.decoder = decoders.ByteLevel()
    names = ["input_ids", "attention_mask"]
    return _wrapped(tokenizer, "<s>", "</s>", "<pad>", "<unk>", "<mask>", model_input_names=names)


def unigrams(start: str = "<s>", end: str = "</s>") -> Any:
    """As XLM-R's and DeBERTa's: pieces of sentences with ▁ for spaces."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = [start, "<pad>", end, "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}",
        special_tokens=[(start, 0), (end, 2)],
    )
    tokenizer.decoder = decoders.Metaspace()
    return _wrapped(tokenizer, start, end, "<pad>", "<unk>", "<mask>")


def _wrapped(
    tokenizer: Tokenizer, start: str, end: str, pad: str, unknown: str, mask: str, **more: Any
) -> Any:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token=start,
        sep_token=end,
        bos_token=start,
        eos_token=end,
        pad_token=pad,
        unk_token=unknown,
        mask_token=AddedToken(mask, lstrip=True),
        model_max_length=MAX_TOKENS,
        **more,
    )


def text_network(family: str, head: str, **config: Any) -> tuple[Any, Any]:
    """(network, tokenizer) of e.g. `Bert` and `ForSequenceClassification`."""
    tokenizer = _TOKENIZERS[family]()
    sizes: dict[str, Any] = dict(_SIZES)
    if family == "DistilBert":
        sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    if family == "DebertaV2":
        sizes |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    offset = 2 if family in ("Roberta", "XLMRoberta", "MPNet") else 0
    settings = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS + offset,
        "pad_token_id": tokenizer.pad_token_id,
        **sizes,
        **config,
    }
    make_config = getattr(transformers, f"{family}Config")
    network = getattr(transformers, f"{family}{head}")
    return network(make_config(**settings)), tokenizer


_TOKENIZERS: dict[str, Callable[[], Any]] = {
    "Bert": word_pieces,
    "DistilBert": word_pieces,
    "MPNet": word_pieces,
    "Roberta": byte_pairs,
    "XLMRoberta": unigrams,
    "DebertaV2": lambda: unigrams("[CLS]", "[SEP]"),
}


def picture_parts(family: str) -> tuple[Any, Any]:
    """(network, image processor) of a classifier."""
    t, classes = transformers, named("cat", "dog", "bird", "fish")
    if family == "ViT":
        config = t.ViTConfig(**_SIZES, image_size=32, patch_size=8, **classes)
        size = {"height": 32, "width": 32}
        return t.ViTForImageClassification(config), t.ViTImageProcessorPil(size=size)
    small = {"hidden_sizes": [8, 16], "depths": [1, 1], **classes}
    if family == "ResNet":
        network: Any = t.ResNetForImageClassification(
            t.ResNetConfig(embedding_size=8, layer_type="basic", **small)
        )
    else:
        network = t.ConvNextForImageClassification(t.ConvNextConfig(num_stages=2, **small))
    size = {"shortest_edge": 32 if family == "ResNet" else 384}
    return network, t.ConvNextImageProcessorPil(size=size, crop_pct=0.875)


def detector_parts() -> tuple[Any, Any]:
    t = transformers
    backbone = t.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        out_features=["stage2"],
    )
    layers = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))
    }
    config = t.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=16,
        num_queries=6,
        **layers,
        **named("cat", "dog", "bird"),
    )
    size = {"shortest_edge": 48, "longest_edge": 80}
    return t.DetrForObjectDetection(config), t.DetrImageProcessorPil(size=size)


def segmenter_parts() -> tuple[Any, Any]:
    t = transformers
    config = t.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        **named("sky", "wall", "tree"),
    )
    size = {"height": 64, "width": 64}
    return t.SegformerForSemanticSegmentation(config), t.SegformerImageProcessorPil(size=size)


def sentence_model(folder: Path, family: str, pooling: Any, **more: Any) -> Path:
    """A sentence-transformers model; `dense` numbers behind the pooling, `normalise` at the end."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    inner = save(folder.with_name(f"{folder.name}-inner"), *text_network(family, "Model"))
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stages: list[nn.Module] = [Transformer(str(inner)), Pooling(16, pooling)]
        if dense := more.pop("dense", 0):
            stages.append(Dense(stages[1].pooling_output_dimension, dense))
        if more.pop("normalise", False):
            stages.append(Normalize())
        SentenceTransformer(modules=stages, device="cpu", **more).save_pretrained(str(folder))
    return folder


def named(*labels: str) -> dict[str, Any]:
    """Settings that name the classes."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
