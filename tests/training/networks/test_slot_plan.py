"""The exported slot graph answers as the decoder does, whole, padded and step by step."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from training.export import export
from training.networks.decoder import Decoder, DecoderConfig
from training.networks.slot_plan import decoder_predict, first_prompts, slot_plan
from training.predict import onnx_predict
from training.work import Arrays, ExportPlan, Predict

CONFIGS = {
    "llama": DecoderConfig(context=64, width=64, layers=2, heads=4, kv_heads=1, hidden=48),
    "gpt2": DecoderConfig(
        family="gpt2", context=64, width=64, layers=2, heads=4, kv_heads=4, hidden=48
    ),
}
VOCABULARY = 50
# The float16 cache rounds keys and values by 2^-11; with logits of size 1 that moves them this far.
ROUNDING = 0.02


class Exported:
    def __init__(self, folder: Path, config: DecoderConfig) -> None:
        torch.manual_seed(3)
        self.config = config
        self.decoder = Decoder(config, VOCABULARY).eval()
        with torch.no_grad():
            for name, parameter in self.decoder.named_parameters():
                if parameter.dim() > 1 or name.endswith("bias"):
                    parameter.normal_(std=0.12)
        self.plan: ExportPlan = slot_plan(self.decoder, lengths=(3, 10))
        self.file = folder / "model.onnx"
        export(self.plan, first_prompts(prompts(2, 10), config), self.file)
        self.ask: Predict = onnx_predict(self.file)
        self.reference: Predict = decoder_predict(self.decoder)


@pytest.fixture(scope="module", params=CONFIGS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("slot"), CONFIGS[request.param])


def prompts(batch: int, length: int) -> np.ndarray:
    return np.random.default_rng([batch, length]).integers(0, VOCABULARY, (batch, length))


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 2, 17, 64])
def test_whole_prompts_agree_at_every_batch_and_length(
    exported: Exported, batch: int, length: int
) -> None:
    inputs = first_prompts(prompts(batch, length), exported.config)
    expected = exported.reference(inputs)["logits"]
    assert np.abs(exported.ask(inputs)["logits"] - expected).max() < ROUNDING


def test_only_wanted_positions_are_answered(exported: Exported) -> None:
    inputs = first_prompts(prompts(2, 6), exported.config)
    everything = exported.ask(inputs)["logits"]
    inputs["logit_idx"] = np.array([11, 3])
    assert np.array_equal(exported.ask(inputs)["logits"], everything[[11, 3]])


def test_prompts_of_different_lengths_share_a_run(exported: Exported) -> None:
    ids = prompts(3, 9)
    lengths = np.array([9, 4, 1], np.int32)
    inputs = first_prompts(ids, exported.config) | {"seqlens_k": lengths - 1}
    together = exported.ask(inputs)["logits"].reshape(3, 9, -1)
    for row, length in enumerate(lengths):
        alone = exported.ask(first_prompts(ids[row : row + 1, :length], exported.config))["logits"]
        assert np.array_equal(together[row, :length], alone)


def test_one_token_at_a_time_gives_what_the_whole_prompt_gives(exported: Exported) -> None:
    """Rows of different ages in one run, on top of what their earlier runs cached."""
    ids = prompts(2, 12)
    ages = np.array([5, 8])
    feeds: Arrays = {}
    heads = exported.config.kv_heads
    for row, age in enumerate(ages):
        answer = exported.ask(first_prompts(ids[row : row + 1, :age], exported.config))
        for name, value in answer.items():
            if name.startswith("present"):
                past = feeds.setdefault(
                    name.replace("present", "past"), np.zeros((2, heads, 12, 16), np.float16)
                )
                past[row, :, :age] = value[0]
    feeds["ids"] = ids[[0, 1], ages][:, np.newaxis]
    feeds["seqlens_k"] = ages.astype(np.int32)
    feeds["total"] = np.array([ages.max() + 1], np.int32)
    feeds["logit_idx"] = np.arange(2)
    step = exported.ask(feeds)["logits"]
    whole = exported.reference(first_prompts(ids, exported.config))["logits"].reshape(2, 12, -1)
    assert np.abs(step - whole[[0, 1], ages]).max() < ROUNDING


def test_a_long_prompt_may_come_in_parts(exported: Exported) -> None:
    ids = prompts(1, 11)
    first = exported.ask(first_prompts(ids[:, :6], exported.config))
    past = {
        name.replace("present", "past"): np.pad(value, ((0, 0), (0, 0), (0, 5), (0, 0)))
        for name, value in first.items()
        if name.startswith("present")
    }
    rest = exported.ask(
        {
            "ids": ids[:, 6:],
            "seqlens_k": np.array([10], np.int32),
            "total": np.array([11], np.int32),
            "logit_idx": np.arange(5),
            **past,
        }
    )["logits"]
    whole = exported.reference(first_prompts(ids, exported.config))["logits"]
    assert np.abs(rest - whole[6:]).max() < ROUNDING


def test_graph_says_its_dialect_and_operators(exported: Exported) -> None:
    meta = onnxruntime.InferenceSession(str(exported.file)).get_modelmeta().custom_metadata_map
    assert meta["slipway.dialect"] == "slipway.slot"
    assert meta["slipway.dialect_version"] == "1"
    assert "GroupQueryAttention" in meta["slipway.operators"].split()


def test_head_is_a_matmul_that_weight_only_quantisation_will_find(exported: Exported) -> None:
    operators = [node.op_type for node in onnx.load(exported.file).graph.node]
    assert "Gemm" not in operators
    assert operators.count("MatMul") == 4 * exported.config.layers + 1
