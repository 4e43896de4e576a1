"""Small bundles of a sentence encoder and of a cross-encoder, over bytes, with graphs that can be run."""

from pathlib import Path

import numpy as np
from onnx import helper
from tokenizers import Tokenizer, processors

from models.blocks import EmbeddingPostprocessing, ScorePostprocessing, TextPreprocessing
from models.bundle import Bundle
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import Batching, ManifestDraft, TensorSpec
from models.publish import publish
from tests.service.bundles import answers_of, byte_tokenizer
from tests.service.graphs import graph, spec

DIMENSIONS = 8
MAX_TOKENS = 32
TABLE = np.random.default_rng(0).normal(size=(256, DIMENSIONS)).astype(np.float32)


def embedded(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """float32 [batch, DIMENSIONS]: the mean of the bytes' vectors, as the graph computes it."""
    weight = mask[..., None].astype(np.float32)
    mean: np.ndarray = (TABLE[ids] * weight).sum(1) / weight.sum(1)
    return mean


def likeness(mask: np.ndarray, type_ids: np.ndarray) -> np.ndarray:
    """float32 [batch, 1]: how many bytes the second text has more than the first."""
    second = type_ids * mask
    return (second - (1 - type_ids) * mask).sum(1, keepdims=True).astype(np.float32)


def embedding_bundle(
    repository: Path, name: str = "sentences", *, may_be_shortened: bool = True
) -> Bundle:
    """Sentence embedding: the mean of the bytes' vectors, brought to length 1."""
    inputs = tuple(_tokens(n) for n in ("input_ids", "attention_mask"))
    outputs = (spec("embedding", DataType.FLOAT, ("batch", DIMENSIONS)),)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["counted"], to=1),
        helper.make_node("Unsqueeze", ["counted", "last"], ["weight"]),
        helper.make_node("Mul", ["vectors", "weight"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "second"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weight", "second"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["embedding"]),
    ]
    weights = {"table": TABLE, "last": np.array([2]), "second": np.array([1])}
    draft = ManifestDraft(
        name=name,
        task="sentence-embedding",
        description="means of bytes",
        inputs=inputs,
        outputs=outputs,
        preprocessing=TextPreprocessing(max_tokens=MAX_TOKENS),
        postprocessing=EmbeddingPostprocessing(may_be_shortened=may_be_shortened),
        batching=Batching(max_batch_size=4),
    )
    ids = np.asarray(Tokenizer.from_str(byte_tokenizer()).encode("hej där").ids, np.int64)[None]
    sample = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return _published(repository, draft, graph(nodes, inputs, outputs, weights), sample)


def similarity_bundle(repository: Path, name: str = "pairs") -> Bundle:
    """Text similarity: a longer second text is liked better."""
    inputs = tuple(_tokens(n) for n in ("input_ids", "attention_mask", "token_type_ids"))
    outputs = (spec("logits", DataType.FLOAT, ("batch", 1)),)
    nodes = [
        helper.make_node("Mul", ["token_type_ids", "two"], ["doubled"]),
        helper.make_node("Sub", ["doubled", "one"], ["signs"]),
        helper.make_node("Mul", ["signs", "attention_mask"], ["counted"]),
        helper.make_node("Mul", ["input_ids", "nothing"], ["unread"]),
        helper.make_node("Add", ["counted", "unread"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["numbers"], to=1),
        helper.make_node("ReduceSum", ["numbers", "last"], ["logits"], keepdims=1),
    ]
    weights = {
        name: np.array(value) for name, value in (("one", 1), ("two", 2), ("nothing", 0))
    } | {"last": np.array([1])}
    draft = ManifestDraft(
        name=name,
        task="text-similarity",
        description="likes long answers",
        inputs=inputs,
        outputs=outputs,
        preprocessing=TextPreprocessing(
            max_tokens=2 * MAX_TOKENS, is_pair=True, type_ids_input="token_type_ids"
        ),
        postprocessing=ScorePostprocessing(),
        batching=Batching(max_batch_size=4),
    )
    ids = np.arange(6, dtype=np.int64)[None]
    kinds = np.array([[0, 0, 1, 1, 1, 1]], np.int64)
    sample = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": kinds}
    return _published(repository, draft, graph(nodes, inputs, outputs, weights), sample)


def _pair_tokenizer() -> str:
    """The byte tokenizer, with type ids of 1 for the second text of a pair."""
    tokenizer = Tokenizer.from_str(byte_tokenizer())
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A:0 $B:1")
    return str(tokenizer.to_str())


def _tokens(name: str) -> TensorSpec:
    return spec(name, DataType.INT64, ("batch", "sequence"), pad_axes=("sequence",))


def _published(
    repository: Path, draft: ManifestDraft, model: bytes, sample: dict[str, np.ndarray]
) -> Bundle:
    staged = repository.parent / f"staged-{draft.name}"
    staged.mkdir(parents=True, exist_ok=True)
    (staged / "model.onnx").write_bytes(model)
    (staged / "tokenizer.json").write_text(_pair_tokenizer())
    wanted = {spec.name: np.zeros(1, np.float32) for spec in draft.outputs}
    Golden(sample, answers_of(model, Golden(sample, wanted))).save(staged / "golden.npz")
    return publish(repository, draft, staged)
