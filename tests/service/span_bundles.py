"""Small bundles of a tagger and of a reader of passages, over bytes. Their graphs are never opened."""

from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from models.blocks import (
    SpanPostprocessing,
    TextPreprocessing,
    TokenClassificationPostprocessing,
)
from models.bundle import Bundle
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import ManifestDraft, TensorSpec
from models.publish import publish
from tests.service.bundles import byte_tokenizer
from training.data.pair_tokenizer import with_pair_marks

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def answer_bundle(folder: Path, *, is_pair: bool = True, may_have_no_answer: bool = True) -> Bundle:
    axes = ("batch", "sequence")
    staged = folder / "staged"
    staged.mkdir(parents=True)
    (staged / "model.onnx").write_bytes(b"never opened")
    marked = with_pair_marks(Tokenizer.from_str(byte_tokenizer()))
    (staged / "tokenizer.json").write_text(marked.to_str(), encoding="utf-8")
    draft = ManifestDraft(
        name="answers",
        task="question-answering",
        inputs=tuple(
            TensorSpec(name=name, dtype=DataType.INT64, shape=axes, pad_axes=("sequence",))
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ),
        outputs=tuple(
            TensorSpec(name=name, dtype=DataType.FLOAT, shape=axes)
            for name in ("start_logits", "end_logits")
        ),
        preprocessing=TextPreprocessing(
            max_tokens=64, stride_tokens=16, is_pair=is_pair, type_ids_input="token_type_ids"
        ),
        postprocessing=SpanPostprocessing(may_have_no_answer=may_have_no_answer),
    )
    return publish(folder / "repository", draft, staged)


def entity_bundle(
    folder: Path, tags: int = len(TAGS), example: str | None = None, **after: Any
) -> Bundle:
    axes = ("batch", "sequence")
    staged = folder / "staged"
    staged.mkdir(parents=True)
    (staged / "model.onnx").write_bytes(b"never opened")
    (staged / "tokenizer.json").write_text(byte_tokenizer(), encoding="utf-8")
    (staged / "labels.txt").write_text("\n".join(TAGS) + "\n", encoding="utf-8")
    if example is not None:
        ids = np.array(
            [list(Tokenizer.from_str(byte_tokenizer()).encode(example).ids)] * 3, np.int64
        )
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        logits = np.zeros((*ids.shape, tags), np.float32)
        Golden(inputs, {"logits": logits}).save(staged / "golden.npz")
    draft = ManifestDraft(
        name="entities",
        task="token-classification",
        inputs=tuple(
            TensorSpec(name=name, dtype=DataType.INT64, shape=axes, pad_axes=("sequence",))
            for name in ("input_ids", "attention_mask")
        ),
        outputs=(TensorSpec(name="logits", dtype=DataType.FLOAT, shape=(*axes, tags)),),
        preprocessing=TextPreprocessing(max_tokens=200),
        postprocessing=TokenClassificationPostprocessing(**after),
    )
    return publish(folder / "repository", draft, staged)
