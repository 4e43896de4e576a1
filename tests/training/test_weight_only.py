"""Weight-only variants: what becomes smaller, what stays, and that rows stay independent."""

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from service.generation.graph import open_graph
from training.export import export
from training.networks.decoder import Decoder, DecoderConfig
from training.networks.slot_plan import first_prompts, slot_plan
from training.predict import onnx_predict
from training.quantize import quantize
from training.weight_only import BITS

_VOCABULARY = 96


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG.model_copy(update={"tied_head": request.param}), _VOCABULARY).eval()
    with torch.no_grad():
        for weight in decoder.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.15)
    path = tmp_path_factory.mktemp("decoder") / "model.onnx"
    export(slot_plan(decoder, (4,)), inputs(2, 8), path)
    return path


CONFIG = DecoderConfig(context=32, width=64, layers=2, heads=4, kv_heads=2, hidden=96)


def inputs(batch: int, length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(length).integers(0, _VOCABULARY, (batch, length))
    return first_prompts(ids, CONFIG)


def attribute(node: onnx.NodeProto, name: str) -> int:
    return int(next(one.i for one in node.attribute if one.name == name))


@pytest.mark.parametrize("precision", BITS)
def test_every_matrix_is_blocks_of_32_and_the_head_is_int8(
    precision: str, graph: Path, tmp_path: Path
) -> None:
    target = tmp_path / "small.onnx"
    handlers = logging.getLogger().handlers[:]
    quantize(precision, graph, target)
    assert logging.getLogger().handlers == handlers
    model = onnx.load(target)
    nodes = [node for node in model.graph.node if node.op_type == "MatMulNBits"]
    assert len(nodes) == 4 * CONFIG.layers + 1
    assert {(attribute(n, "block_size"), attribute(n, "accuracy_level")) for n in nodes} == {
        (32, 4)
    }
    assert [attribute(node, "bits") for node in nodes] == [BITS[precision]] * 8 + [8]
    assert not [node for node in model.graph.node if node.op_type in ("MatMul", "Transpose")]
    assert "GatherBlockQuantized" in {node.op_type for node in model.graph.node}
    assert target.stat().st_size < 0.6 * graph.stat().st_size
    open_graph(target.read_bytes())  # the engine takes it: dialect and contract are kept


@pytest.mark.parametrize(
    ("precision", "most"), [("int8-weight-only", 0.05), ("int4-weight-only", 0.6)]
)
def test_logits_stay_near_and_rows_do_not_know_each_other(
    precision: str, most: float, graph: Path, tmp_path: Path
) -> None:
    target = tmp_path / "small.onnx"
    quantize(precision, graph, target)
    ask, reference = onnx_predict(target), onnx_predict(graph)
    together = inputs(5, 12)
    logits = ask(together)["logits"].reshape(5, 12, -1)
    difference = np.abs(logits - reference(together)["logits"].reshape(5, 12, -1))
    assert 0 < difference.mean() < most
    alone = first_prompts(together["ids"][3:4], CONFIG)
    assert np.array_equal(ask(alone)["logits"], logits[3])
