"""The same small bundles with graphs that ONNX Runtime opens, and what they must answer."""

from pathlib import Path

import numpy as np
import torch
from onnx import helper

from models.datatypes import DataType
from tests.service import bundles
from tests.service.graphs import doubler, graph, spec
from training.export import export
from training.networks.decoder import Decoder, DecoderConfig
from training.networks.slot_plan import first_prompts, slot_plan


def _digits() -> bytes:
    """logits[d] = 5 if the picture has d white pixels, by way of −|sum − d|."""
    return graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("ReduceSum", ["flat", "axis"], ["sum"], keepdims=1),
            helper.make_node("Sub", ["sum", "classes"], ["gap"]),
            helper.make_node("Abs", ["gap"], ["distance"]),
            helper.make_node("Mul", ["distance", "minus"], ["logits"]),
        ],
        [spec("image", DataType.FLOAT, ["batch", 1, 8, 8])],
        [spec("logits", DataType.FLOAT, ["batch", 10])],
        {
            "axis": np.array([1]),
            "classes": np.arange(10, dtype=np.float32)[None],
            "minus": np.array(-5, np.float32),
        },
    )


def _languages() -> bytes:
    """The class is the number of tokens, cut to 0…2."""
    return graph(
        [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=1),
            helper.make_node("ReduceSum", ["mask", "axis"], ["sum"], keepdims=1),
            helper.make_node("Sub", ["sum", "classes"], ["gap"]),
            helper.make_node("Abs", ["gap"], ["distance"]),
            helper.make_node("Cast", ["input_ids"], ["ids"], to=1),
            helper.make_node("ReduceSum", ["ids", "axis"], ["total"], keepdims=1),
            helper.make_node("Mul", ["total", "zero"], ["nothing"]),
            helper.make_node("Mul", ["distance", "minus"], ["scores"]),
            helper.make_node("Add", ["scores", "nothing"], ["logits"]),
        ],
        [
            spec("input_ids", DataType.INT64, ["batch", "sequence"]),
            spec("attention_mask", DataType.INT64, ["batch", "sequence"]),
        ],
        [spec("logits", DataType.FLOAT, ["batch", 3])],
        {
            "axis": np.array([1]),
            "classes": np.arange(3, dtype=np.float32)[None],
            "minus": np.array(-5, np.float32),
            "zero": np.array(0, np.float32),
        },
    )


def _painter() -> bytes:
    """Brightness label ÷ 10, with the noise's mean as texture."""
    return graph(
        [
            helper.make_node("Cast", ["label"], ["level"], to=1),
            helper.make_node("Mul", ["level", "tenth"], ["base"]),
            helper.make_node("ReduceMean", ["noise", "axis"], ["mean"], keepdims=0),
            helper.make_node("Tanh", ["mean"], ["bent"]),
            helper.make_node("Mul", ["bent", "tenth"], ["texture"]),
            helper.make_node("Add", ["base", "texture"], ["value"]),
            helper.make_node("Reshape", ["value", "one"], ["column"]),
            helper.make_node("Mul", ["column", "ones"], ["image"]),
        ],
        [
            spec("noise", DataType.FLOAT, ["batch", bundles.NOISE_SIZE]),
            spec("label", DataType.INT64, ["batch"]),
        ],
        [spec("image", DataType.FLOAT, ["batch", 1, 8, 8])],
        {
            "axis": np.array([1]),
            "tenth": np.array(0.1, np.float32),
            "one": np.array([-1, 1, 1, 1]),
            "ones": np.ones((1, 1, 8, 8), np.float32),
        },
    )


def decoder(scratch: Path, context: int = bundles.CONTEXT_TOKENS, vocabulary: int = 256) -> bytes:
    """A random decoder over bytes, exported as training exports one."""
    torch.manual_seed(3)
    config = DecoderConfig(context=context, width=32, layers=1, heads=2, kv_heads=1, hidden=32)
    decoder = Decoder(config, vocabulary).eval()
    example = np.random.default_rng(0).integers(0, vocabulary, (2, 9))
    file = scratch / "decoder.onnx"
    export(slot_plan(decoder, lengths=(4, 9)), first_prompts(example, config), file)
    return file.read_bytes()


def publish_all(repository: Path, scratch: Path) -> None:
    """digits, language-id, painter, writer and double, each in version 1."""
    bundles.digits_bundle(repository, model=_digits())
    bundles.language_bundle(repository, model=_languages())
    bundles.painter_bundle(repository, model=_painter())
    bundles.tensor_bundle(repository, model=doubler(3).data)
    bundles.writer_bundle(repository, model=decoder(scratch))
