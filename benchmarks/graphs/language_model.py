"""Decoders with random weights for measuring generation: 124M parameters in float32 and int4, and a tiny one.

Exported once through the same slot graph as every trained decoder and kept in a cache folder, in a process
of its own, because torch is large. Random weights cost what trained ones cost: no kernel looks at values.
Answers are nonsense, drawn with `ignore_eos` for as long as they were asked to be.

`publish_language_model` makes a bundle of it that the server takes; the tokenizer is byte-level with as many
tokens as the model (letters, their pairs and triples), so that texts cost what they cost elsewhere.
"""

import itertools
import json
import os
import string
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.datatypes import DataType
from models.manifest import MODEL_FILE, Batching, ManifestDraft, TensorSpec
from models.publish import publish

PRECISIONS = ("fp32", "int4")
_BLOCK = 32  # weights that share a scale
_ACCURACY_LEVEL = 4  # int8 products; level 0 is 20 times as slow at batch 1
_SEED = 7


@dataclass(frozen=True)
class DecoderSize:
    """Letters as in `training.networks.decoder`: C context, D width, H and K heads, F hidden, V tokens."""

    name: str
    context: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    vocabulary: int

    @property
    def head_size(self) -> int:
        return self.width // self.heads

    def file_name(self, precision: str) -> str:
        return f"decoder-{self.name}-{precision}.onnx"


SIZES = {
    size.name: size
    for size in (
        DecoderSize("124m", 1024, 768, 12, 12, 4, 2048, 32_000),
        DecoderSize("tiny", 512, 256, 4, 4, 2, 704, 4096),
    )
}


def exported(cache: Path, size: DecoderSize, precision: str) -> Path:
    """The slot graph, made first if the cache lacks it."""
    target = cache / size.file_name(precision)
    if not target.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.graphs.language_model", str(cache), size.name]
        subprocess.run(
            [*command, precision], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    return target


def weight_bytes_per_step(model: Path) -> int:
    """Bytes of weights that a decode step reads: all but the embedding, of which it takes single lines."""
    import onnx

    graph = onnx.load(model).graph
    taken = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    return sum(
        onnx.numpy_helper.to_array(tensor).nbytes
        for tensor in graph.initializer
        if tensor.name not in taken
    )


def publish_language_model(
    repository: Path, name: str, model: Path, size: DecoderSize, slots: int, staged: Path
) -> None:
    """As a text-generation model called `name`."""
    staged.mkdir(parents=True)
    os.link(model, staged / MODEL_FILE)
    (staged / "tokenizer.json").write_text(tokenizer_json(size.vocabulary))
    draft = ManifestDraft(
        name=name,
        task="text-generation",
        runner="generation",
        inputs=_inputs(size),
        outputs=_outputs(size),
        preprocessing=PromptPreprocessing(context_tokens=size.context),
        postprocessing=GenerationPostprocessing(default_max_tokens=32),
        batching=Batching(max_batch_size=slots),
    )
    publish(repository, draft, staged)


def tokenizer_json(vocabulary: int) -> str:
    """A byte-level BPE tokenizer with exactly `vocabulary` tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    space, small = "Ġ", string.ascii_lowercase
    merges: list[tuple[str, str]] = []
    for start in ("", space):
        for length in (1, 2, 3):
            for spelled in itertools.product(small, repeat=length):
                whole = start + "".join(spelled)
                if len(whole) > 1:
                    merges.append((whole[:-1], whole[-1]))
    merges = merges[: vocabulary - len(letters)]
    words = [*letters, *(left + right for left, right in merges)]
    assert len(words) == vocabulary, f"{len(words)} tokens can be made, not {vocabulary}"
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return str(tokenizer.to_str())


def _inputs(size: DecoderSize) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec(name="ids", dtype=DataType.INT64, shape=("batch", "sequence")),
        TensorSpec(name="seqlens_k", dtype=DataType.INT32, shape=("batch",)),
        TensorSpec(name="total", dtype=DataType.INT32, shape=(1,), batch_axis=None),
        TensorSpec(name="logit_idx", dtype=DataType.INT64, shape=("wanted",), batch_axis=None),
        *_cache("past", size),
    )


def _outputs(size: DecoderSize) -> tuple[TensorSpec, ...]:
    shape = ("wanted", size.vocabulary)
    logits = TensorSpec(name="logits", dtype=DataType.FLOAT, shape=shape, batch_axis=None)
    return (logits, *_cache("present", size))


def _cache(side: str, size: DecoderSize) -> tuple[TensorSpec, ...]:
    shape = ("batch", size.kv_heads, "capacity", size.head_size)
    return tuple(
        TensorSpec(name=f"{side}.{layer}.{part}", dtype=DataType.FLOAT16, shape=shape)
        for layer in range(size.layers)
        for part in ("key", "value")
    )


def _make(cache: Path, size: DecoderSize, precision: str) -> None:
    target = cache / size.file_name(precision)
    fresh = target.with_suffix(".new")
    if precision == "fp32":
        _export(fresh, size)
    else:
        _to_int4(exported(cache, size, "fp32"), fresh)
    fresh.replace(target)


def _export(target: Path, size: DecoderSize) -> None:
    import numpy as np
    import torch

    from training.export import export
    from training.networks.decoder import Decoder, DecoderConfig
    from training.networks.slot_plan import first_prompts, slot_plan

    torch.manual_seed(_SEED)
    config = DecoderConfig(
        context=size.context,
        width=size.width,
        layers=size.layers,
        heads=size.heads,
        kv_heads=size.kv_heads,
        hidden=size.hidden,
        tied_head=False,
    )
    decoder = Decoder(config, size.vocabulary).eval()
    example = np.random.default_rng(0).integers(0, size.vocabulary, (2, 9))
    export(slot_plan(decoder, lengths=(4, 9)), first_prompts(example, config), target)


def _to_int4(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        onnx.load(source), block_size=_BLOCK, is_symmetric=True, accuracy_level=_ACCURACY_LEVEL
    )
    quantizer.process()
    onnx.save_model(quantizer.model.model, target)


if __name__ == "__main__":
    _make(Path(sys.argv[1]), SIZES[sys.argv[2]], sys.argv[3])
    print(json.dumps({"made": sys.argv[2:]}))
