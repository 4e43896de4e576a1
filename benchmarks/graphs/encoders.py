"""Sentence encoders with random weights, built without torch: MiniLM (6 layers, 384 wide) and BERT-base.

The layers are those of Devlin et al. 2018 ("BERT", section 3: attention, then a GELU network, each followed
by normalisation), then the mean over the mask and length one. Weights are random: time does not depend on
them, answers mean nothing. For machines where real weights cannot be had.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.manifest import MODEL_FILE, Batching, ManifestDraft, TensorSpec
from models.publish import publish

OUTPUT = "sentence"
_EPSILON = 1e-12


@dataclass(frozen=True)
class EncoderSize:
    """Letters: D width, H heads, F hidden, V tokens, P positions."""

    name: str
    width: int
    layers: int
    heads: int
    hidden: int
    vocabulary: int = 30_522
    positions: int = 512


SIZES = {
    size.name: size
    for size in (
        EncoderSize("minilm", 384, 6, 12, 1536),
        EncoderSize("bert-base", 768, 12, 12, 3072),
        EncoderSize("tiny-encoder", 16, 1, 2, 32, 50, 32),
    )
}


def publish_encoder(
    repository: Path, staged: Path, size: EncoderSize, max_batch_size: int = 32
) -> None:
    """Under its size's name: ids and mask [batch, sequence] INT64 → sentence [batch, D]."""
    staged.mkdir(parents=True)
    (staged / MODEL_FILE).write_bytes(encoder(size))
    axes: tuple[str, ...] = ("batch", "sequence")
    draft = ManifestDraft(
        name=size.name,
        task="tensor",
        inputs=tuple(
            TensorSpec(name=name, dtype=DataType.INT64, shape=axes, pad_axes=("sequence",))
            for name in ("input_ids", "attention_mask")
        ),
        outputs=(TensorSpec(name=OUTPUT, dtype=DataType.FLOAT, shape=("batch", size.width)),),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
        batching=Batching(max_batch_size=max_batch_size),
    )
    publish(repository, draft, staged)


def texts(size: EncoderSize, rows: int, tokens: int) -> dict[str, np.ndarray]:
    """Inputs of so many texts of that length."""
    ids = np.random.default_rng(5).integers(1, size.vocabulary, (rows, tokens))
    return {"input_ids": ids, "attention_mask": np.ones((rows, tokens), np.int64)}


def encoder(size: EncoderSize) -> bytes:
    """The ONNX graph."""
    net = _Net(size)
    value = net.embedded()
    bias = net.mask_bias()
    for _ in range(size.layers):
        value = net.normalized(net.node("Add", value, net.attention(value, bias)))
        value = net.normalized(net.node("Add", value, net.feed_forward(value)))
    net.pooled(value)
    return net.serialized()


class _Net:
    """Nodes and weights as they are made; B texts of S tokens."""

    def __init__(self, size: EncoderSize) -> None:
        self._size = size
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def matrix(self, *shape: int) -> str:
        drawn = self._random.standard_normal(shape, dtype=np.float32)
        return self.constant(drawn * np.float32(0.02))

    def linear(self, value: str, before: int, after: int) -> str:
        product = self.node("MatMul", value, self.matrix(before, after))
        return self.node("Add", product, self.constant(np.zeros(after, np.float32)))

    def normalized(self, value: str) -> str:
        width = self._size.width
        scale = self.constant(np.ones(width, np.float32))
        shift = self.constant(np.zeros(width, np.float32))
        return self.node("LayerNormalization", value, scale, shift, epsilon=_EPSILON)

    def embedded(self) -> str:
        """[B, S, D]."""
        size = self._size
        words = self.node("Gather", self.matrix(size.vocabulary, size.width), "input_ids")
        length = self.node("Shape", "input_ids", start=1, end=2)
        zero, one = (self.constant(np.array(number, np.int64)) for number in (0, 1))
        until = self.node("Squeeze", length)
        places = self.node("Range", zero, until, one)
        positions = self.node("Gather", self.matrix(size.positions, size.width), places)
        return self.normalized(self.node("Add", words, positions))

    def mask_bias(self) -> str:
        """[B, 1, 1, S]: nothing where there is a token, a large negative number where there is none."""
        mask = self.node("Cast", "attention_mask", to=TensorProto.FLOAT)
        wide = self.node("Unsqueeze", mask, self.constant(np.array([1, 2], np.int64)))
        absent = self.node("Sub", self.constant(np.array(1, np.float32)), wide)
        return self.node("Mul", absent, self.constant(np.array(-1e4, np.float32)))

    def attention(self, value: str, bias: str) -> str:
        size = self._size
        head = size.width // size.heads
        query, key, values = (
            self._heads(self.linear(value, size.width, size.width), perm)
            for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        )
        scores = self.node("MatMul", query, key)
        scaled = self.node("Mul", scores, self.constant(np.array(head**-0.5, np.float32)))
        weights = self.node("Softmax", self.node("Add", scaled, bias), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", weights, values), perm=[0, 2, 1, 3])
        flat = self.constant(np.array([0, 0, size.width], np.int64))
        return self.linear(self.node("Reshape", mixed, flat), size.width, size.width)

    def _heads(self, value: str, perm: Sequence[int]) -> str:
        size = self._size
        shape = self.constant(np.array([0, 0, size.heads, size.width // size.heads], np.int64))
        return self.node("Transpose", self.node("Reshape", value, shape), perm=list(perm))

    def feed_forward(self, value: str) -> str:
        size = self._size
        inner = self.node("Gelu", self.linear(value, size.width, size.hidden))
        return self.linear(inner, size.hidden, size.width)

    def pooled(self, value: str) -> None:
        mask = self.node("Cast", "attention_mask", to=TensorProto.FLOAT)
        last, middle = (self.constant(np.array([axis], np.int64)) for axis in (2, 1))
        kept = self.node("Mul", value, self.node("Unsqueeze", mask, last))
        total = self.node("ReduceSum", kept, middle, keepdims=0)
        count = self.node("ReduceSum", mask, middle, keepdims=1)
        mean = self.node("Div", total, count)
        length = self.node("ReduceL2", mean, middle, keepdims=1)
        self._nodes.append(helper.make_node("Div", [mean, length], [OUTPUT]))

    def serialized(self) -> bytes:
        axes = ["batch", "sequence"]
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, axes)
                for name in ("input_ids", "attention_mask")
            ],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", self._size.width])],
            self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        data: bytes = model.SerializeToString()
        return data
