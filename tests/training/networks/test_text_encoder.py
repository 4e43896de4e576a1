"""Every text encoder takes any batch and length, padding changes nothing, and ONNX computes the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.datatypes import DataType
from models.manifest import TensorSpec
from training.export import export
from training.networks.bag import EmbeddingEncoder
from training.networks.recurrent import RecurrentEncoder
from training.networks.text_encoder import (
    SequenceClassifier,
    TokenClassifier,
    TokenEncoder,
    pool,
    pooled_width,
)
from training.networks.transformer_encoder import TransformerEncoder
from training.predict import onnx_predict, torch_predict
from training.work import ExportPlan

VOCABULARY = 40

ENCODERS: dict[str, Callable[[], TokenEncoder]] = {
    "bag": lambda: EmbeddingEncoder(vocabulary=VOCABULARY, width=6, dropout=0.2),
    **{
        cell: lambda cell=cell: RecurrentEncoder(  # type: ignore[misc]
            cell, vocabulary=VOCABULARY, width=6, units=5, layers=2, dropout=0.2
        )
        for cell in ("rnn", "lstm", "gru")
    },
    **{
        f"transformer, {positions}": lambda positions=positions: TransformerEncoder(  # type: ignore[misc]
            vocabulary=VOCABULARY,
            width=8,
            layers=2,
            heads=2,
            inner=12,
            max_tokens=64,
            dropout=0.2,
            positions=positions,
        )
        for positions in ("sinusoidal", "learned")
    },
}


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> TokenEncoder:
    torch.manual_seed(0)
    return ENCODERS[request.param]().eval()


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 1), (1, 9), (4, 64)])
def test_every_token_becomes_a_vector(encoder: TokenEncoder, batch: int, length: int) -> None:
    ids = torch.randint(0, VOCABULARY, (batch, length))
    assert encoder(ids, torch.ones_like(ids)).shape == (batch, length, encoder.hidden)


@pytest.mark.parametrize("pooling", ["first", "mean", "max", "mean_max"])
def test_padding_and_neighbours_do_not_change_an_answer(
    encoder: TokenEncoder, pooling: str
) -> None:
    torch.manual_seed(1)
    network = SequenceClassifier(encoder, classes=3, pooling=pooling, dropout=0.1).eval()  # type: ignore[arg-type]
    ids = torch.randint(0, VOCABULARY, (4, 12))
    lengths = [12, 7, 1, 3]
    mask = (torch.arange(12) < torch.tensor(lengths)[:, None]).long()
    together = network(ids, mask)
    rubbish = torch.where(mask == 1, ids, torch.randint(0, VOCABULARY, ids.shape))
    torch.testing.assert_close(network(rubbish, mask), together, atol=1e-6, rtol=0)
    for row, length in enumerate(lengths):
        alone = network(ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)


def test_a_row_of_padding_alone_is_finite(encoder: TokenEncoder) -> None:
    ids = torch.zeros((2, 5), dtype=torch.int64)
    for pooling in ("mean", "max"):
        network = SequenceClassifier(encoder, classes=3, pooling=pooling, dropout=0).eval()
        assert bool(network(ids, torch.zeros_like(ids)).isfinite().all())


def test_every_weight_learns_and_stands_in_one_layer_group(encoder: TokenEncoder) -> None:
    network = TokenClassifier(encoder.train(), classes=3, dropout=0.1)
    ids = torch.randint(0, VOCABULARY, (16, 12))
    network(ids, torch.ones_like(ids)).square().sum().backward()
    grouped = [id(weight) for group in network.layer_groups() for weight in group]
    assert sorted(grouped) == sorted(id(weight) for weight in network.parameters())
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert bool((weight.grad != 0).any()), name


def test_the_first_group_is_the_embedding_and_the_last_the_head(encoder: TokenEncoder) -> None:
    network = SequenceClassifier(encoder, classes=3, pooling="mean", dropout=0)
    groups = network.layer_groups()
    assert groups[0][0] is encoder.get_parameter("embedding.weight")
    assert groups[-1][0] is network.head.weight


def test_onnx_computes_the_same_for_any_batch_and_length(
    encoder: TokenEncoder, tmp_path: Path
) -> None:
    network = TokenClassifier(encoder, classes=3, dropout=0)
    shape = ("batch", "sequence", 3)
    axes = ("batch", "sequence")
    inputs = tuple(
        TensorSpec(name=name, dtype=DataType.INT64, shape=axes, pad_axes=("sequence",))
        for name in ("input_ids", "attention_mask")
    )
    limits = {"sequence": (1, encoder.max_tokens)} if encoder.max_tokens < 1000 else {}
    plan = ExportPlan(
        network.eval(),
        inputs,
        (TensorSpec(name="logits", dtype=DataType.FLOAT, shape=shape),),
        axis_limits=limits,
    )
    export(plan, _example(2, 16), tmp_path / "model.onnx")
    onnx_side = onnx_predict(tmp_path / "model.onnx")
    torch_side = torch_predict(plan, torch.device("cpu"))
    for batch, length in ((1, 1), (2, 16), (5, 7), (3, 64), (1, 33)):
        example = _example(batch, length)
        there = example["attention_mask"] == 1
        given = onnx_side(example)["logits"][there]
        wanted = torch_side(example)["logits"][there]
        np.testing.assert_allclose(given, wanted, atol=1e-5, rtol=0)


def _example(batch: int, length: int) -> dict[str, np.ndarray]:
    """Rows of every length up to `length`."""
    generator = np.random.default_rng(0)
    lengths = 1 + (np.arange(batch) * 5 + length - 1) % length
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    return {
        "input_ids": generator.integers(0, VOCABULARY, (batch, length)),
        "attention_mask": mask,
    }


def test_pooling_reads_tokens_only() -> None:
    vectors = torch.tensor([[[1.0, -1.0], [3.0, -5.0], [9.0, 9.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert pool(vectors, mask, "first").tolist() == [[1, -1]]
    assert pool(vectors, mask, "mean").tolist() == [[2, -3]]
    assert pool(vectors, mask, "max").tolist() == [[3, -1]]
    assert pool(vectors, mask, "mean_max").tolist() == [[2, -3, 3, -1]]
    assert pooled_width(2, "mean_max") == 4
