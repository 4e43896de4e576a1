"""Networks of ours, small and with random weights, as the exporter writes them."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.datatypes import DataType
from models.manifest import TensorSpec
from models.runtimes.graph import Graph
from tests.training.networks.image_networks import SMALL, small_network
from training.export import export
from training.networks.fcos import Fcos
from training.networks.recurrent import Cell, RecurrentEncoder
from training.networks.segformer import Segformer
from training.networks.sentence_encoder import SentenceEncoder
from training.networks.text_classifier import TextClassifier
from training.networks.transformer_encoder import TransformerEncoder
from training.networks.unet import Unet
from training.train import cpu_threads
from training.work import Arrays, ExportPlan

VOCABULARY, TOKENS, SIDE = 50, 24, 32


def _sentence_encoder() -> nn.Module:
    encoder = TransformerEncoder(
        vocabulary=VOCABULARY, width=32, layers=2, heads=4, inner=64, max_tokens=TOKENS, dropout=0.0
    )
    return SentenceEncoder(encoder, pooling="mean")


def _cells(cell: Cell) -> RecurrentEncoder:
    return RecurrentEncoder(cell, vocabulary=VOCABULARY, width=16, units=12, layers=1, dropout=0.0)


PICTURES: dict[str, Callable[[], nn.Module]] = {
    **{name: (lambda name=name: small_network(name, 3, SIDE)) for name in SMALL},
    "unet": lambda: Unet(classes=4, width=4, depth=2),
    "segformer": lambda: Segformer(classes=4, width=8, depth=1),
    "fcos": lambda: Fcos(SIDE, classes=4, width=4, features=8, levels=2),
}
TEXTS: dict[str, Callable[[], nn.Module]] = {
    "sentence encoder": _sentence_encoder,
    "lstm": lambda: SentenceEncoder(_cells("lstm"), pooling="mean_max"),
    "gru": lambda: SentenceEncoder(_cells("gru"), pooling="mean_max"),
    "text cnn": lambda: TextClassifier(
        vocabulary=VOCABULARY, classes=3, width=16, filters=8, windows=(2, 3), dropout=0.0
    ),
}


def inputs_of(name: str, batch: int, length: int = 9) -> Arrays:
    """Reproducible; texts of different lengths, padded."""
    random = np.random.default_rng(batch * 100 + length)
    if name in PICTURES:
        return {"image": random.standard_normal((batch, 3, SIDE, SIDE)).astype(np.float32)}
    lengths = random.integers(1, length + 1, batch)
    lengths[0] = length
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    return {
        "input_ids": random.integers(0, VOCABULARY, (batch, length)) * mask,
        "attention_mask": mask,
    }


@cache
def exported(name: str) -> Graph:
    with cpu_threads(1), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        plan = _plan(name)
        path = Path(folder) / "model.onnx"
        export(plan, inputs_of(name, 2), path)
        return Graph.in_folder(path, plan.inputs, plan.outputs)


def _plan(name: str) -> ExportPlan:
    if name in PICTURES:
        module, inputs = PICTURES[name](), (_picture(),)
    else:
        module, inputs = TEXTS[name](), (_tokens("input_ids"), _tokens("attention_mask"))
    module.eval()
    with torch.no_grad():
        made = module(*(torch.from_numpy(array) for array in inputs_of(name, 2).values()))
    answers = made if isinstance(made, tuple) else (made,)
    outputs = tuple(
        TensorSpec(name=f"answer{number}", dtype=DataType.FLOAT, shape=("batch", *answer.shape[1:]))
        for number, answer in enumerate(answers)
    )
    lengths = (9,) if name in TEXTS else ()
    return ExportPlan(module, inputs, outputs, lengths=lengths, axis_limits={"tokens": (1, TOKENS)})


def _picture() -> TensorSpec:
    return TensorSpec(name="image", dtype=DataType.FLOAT, shape=("batch", 3, SIDE, SIDE))


def _tokens(name: str) -> TensorSpec:
    return TensorSpec(
        name=name, dtype=DataType.INT64, shape=("batch", "tokens"), pad_axes=("tokens",)
    )
