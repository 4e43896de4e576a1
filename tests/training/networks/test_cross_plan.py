"""Two exported graphs answer as the encoder–decoder does: whole, ragged, and step by step in a larger cache.

Every network is examined alike: our Transformer with shared key/value heads, GRU and LSTM, and T5, whose
bias by distance goes in through the attention kernel.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from training.export import example_size, export
from training.networks.cross_plan import cross_plans, first_answers, onnx_bundle, torch_bundle
from training.networks.cross_slot import ENCODER_FILE
from training.networks.seq2seq import Seq2Seq
from training.networks.seq2seq_recurrent import RecurrentSeq2Seq
from training.networks.seq2seq_settings import RecurrentSeq2SeqConfig, TransformerSeq2SeqConfig
from training.networks.seq2seq_t5 import T5Seq2Seq
from training.networks.seq2seq_transformer import TransformerSeq2Seq
from training.work import Arrays, Predict

VOCABULARY = 40
# The float16 caches round keys, values and states by 2^-11 of values of a few units.
ROUNDING = 0.02
NETWORKS = ("transformer", "gru-luong", "lstm-bahdanau", "t5")


def make(name: str) -> Seq2Seq:
    torch.manual_seed(5)
    if name == "transformer":
        config = TransformerSeq2SeqConfig(
            width=64, encoder_layers=1, decoder_layers=2, heads=4, kv_heads=2, hidden=32
        )
        return TransformerSeq2Seq(config, VOCABULARY, longest=48)
    if name == "t5":
        return T5Seq2Seq(tiny_t5())
    cell, attention = name.split("-")
    settings = RecurrentSeq2SeqConfig.model_validate(
        {"cell": cell, "attention": attention, "width": 24, "units": 32}
    )
    network = RecurrentSeq2Seq(settings, VOCABULARY)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2.0)  # as drawn, the answers hardly differ from each other
    return network


def tiny_t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    options: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "d_model": 48,
        "d_kv": 16,
        "d_ff": 32,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
        "feed_forward_proj": "gated-gelu",
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 12,
        "dropout_rate": 0.0,
    }
    module: Any = T5ForConditionalGeneration(T5Config(**options))
    module.eval()
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "relative_attention_bias" in name:
                weight.normal_(std=1.5)  # as drawn, a wrong distance would go unnoticed
    return module


class Exported:
    def __init__(self, name: str, folder: Path) -> None:
        self.network = make(name).eval()
        self.plan = cross_plans(self.network, (2, 5, 11))
        for part in (self.plan, *self.plan.beside):
            assert part.example is not None
            export(part, part.example(*example_size(part)), folder / part.file)
        self.folder = folder
        self.ask: Predict = onnx_bundle(folder / self.plan.file)
        self.reference: Predict = torch_bundle(self.network)

    def question(self, batch: int, length: int) -> Arrays:
        random = np.random.default_rng([batch, length])
        mask = np.ones((batch, length), np.int64)
        mask[-1, max(1, length // 2) :] = 0
        return {
            "input_ids": random.integers(1, VOCABULARY, (batch, length)),
            "attention_mask": mask,
            **first_answers(
                random.integers(1, VOCABULARY, (batch, length + 2)), self.network.sizes
            ),
        }


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(request.param, tmp_path_factory.mktemp("cross"))


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 5, 30])
def test_both_graphs_agree_with_torch_at_every_batch_and_length(
    exported: Exported, batch: int, length: int
) -> None:
    question = exported.question(batch, length)
    expected, given = exported.reference(question), exported.ask(question)
    seen = question["attention_mask"][:, None, :, None] > 0  # nobody reads what padding left
    for name, reference in expected.items():
        gap = np.abs(given[name].astype(np.float32) - reference)
        gap = gap * seen if name.startswith("cross.") else gap
        assert gap.max() < ROUNDING, name


def test_answers_differ_enough_for_a_mistake_to_show(exported: Exported) -> None:
    question = exported.question(3, 9)
    logits = exported.reference(question)["logits"]
    assert logits.std(axis=0).max() > 5 * ROUNDING
    other = exported.reference(question | {"input_ids": question["input_ids"][::-1].copy()})
    assert np.abs(other["logits"] - logits).max() > 5 * ROUNDING


def test_ragged_rows_step_by_step_give_what_whole_answers_give(exported: Exported) -> None:
    """Rows of different ages and sources in one run, in a cache longer than any of them."""
    sizes, capacity = exported.network.sizes, 20
    question = exported.question(3, 10)
    whole = exported.reference(question)["logits"].reshape(3, 12, -1)
    cross = exported.ask({name: question[name] for name in ("input_ids", "attention_mask")})
    padding = ((0, 0), (0, 0), (0, 7), (0, 0))
    feeds: Arrays = {
        "cross_lengths": question["attention_mask"].sum(axis=1).astype(np.int32),
        **{name: np.pad(side, padding, constant_values=9) for name, side in cross.items()},
    }
    shape = (3, sizes.kv_heads, capacity, sizes.head_size)
    past = {
        f"past.{layer}.{side}": np.full(shape, 7, np.float16)
        for layer in range(sizes.layers)
        for side in ("key", "value")
    }
    ages = np.array([1, 4, 9])
    for row, age in enumerate(ages):
        alone = first_answers(question["ids"][row : row + 1, :age], sizes)
        mine = {name: side[row : row + 1] for name, side in feeds.items()}
        answer = exported.ask({**alone, **mine})
        for name, cache in past.items():
            cache[row, :, :age] = answer[name.replace("past", "present")][0]
    for step in range(3):
        reached = ages + step
        answer = exported.ask(
            {
                **feeds,
                **past,
                "ids": question["ids"][np.arange(3), reached][:, np.newaxis],
                "seqlens_k": reached.astype(np.int32),
                "total": np.array([reached.max() + 1], np.int32),
                "logit_idx": np.arange(3),
            }
        )
        gap = np.abs(answer["logits"] - whole[np.arange(3), reached])
        assert gap.max() < ROUNDING
        past = {name: answer[name.replace("past", "present")] for name in past}


def test_answers_of_different_lengths_begin_together(exported: Exported) -> None:
    question = exported.question(3, 6)
    lengths = np.array([8, 3, 1], np.int32)
    together = exported.ask(question | {"seqlens_k": lengths - 1})["logits"].reshape(3, 8, -1)
    whole = exported.reference(question)["logits"].reshape(3, 8, -1)
    for row, length in enumerate(lengths):
        assert np.abs(together[row, :length] - whole[row, :length]).max() < ROUNDING


def test_decoder_says_its_dialect_and_inputs_stand_in_the_contracts_order(
    exported: Exported,
) -> None:
    session = onnxruntime.InferenceSession(str(exported.folder / exported.plan.file))
    meta = session.get_modelmeta().custom_metadata_map
    assert meta["slipway.dialect"] == "slipway.slot.cross"
    assert meta["slipway.dialect_version"] == "1"
    names = [given.name for given in session.get_inputs()]
    assert names[:4] == ["ids", "seqlens_k", "total", "logit_idx"]
    assert names[4] == "past.0.key"
    assert names[4 + 2 * exported.network.sizes.layers] == "cross_lengths"
    assert (exported.folder / ENCODER_FILE).is_file()


def test_t5_is_put_together_as_transformers_does() -> None:
    module = tiny_t5()
    random = np.random.default_rng(0)
    source, answer = (
        torch.from_numpy(random.integers(1, VOCABULARY, (3, size))) for size in (7, 15)
    )
    mask = torch.ones_like(source)
    mask[2, 3:] = 0
    with torch.inference_mode():
        expected = module(input_ids=source, attention_mask=mask, decoder_input_ids=answer).logits
        given = T5Seq2Seq(module)(source, mask, answer)
    assert (given - expected).abs().max() < 1e-4
