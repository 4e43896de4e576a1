"""The benchmark's decoders: a tokenizer of the model's size, the same graph for all, bundles that load."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from benchmarks.baselines.bare_decoder import BareDecoder
from benchmarks.graphs.genai_folder import MODEL, genai_folder
from benchmarks.graphs.language_model import (
    SIZES,
    exported,
    publish_language_model,
    tokenizer_json,
    weight_bytes_per_step,
)
from benchmarks.harness.options import Options
from models.catalog import find_bundle
from service.generation.graph import open_graph

_TINY = SIZES["tiny"]


@pytest.fixture(scope="module")
def models() -> dict[str, Path]:
    """Exported once for this and for every later run, as the benchmark itself does."""
    return {kind: exported(Options().cache, _TINY, kind) for kind in ("fp32", "int4")}


@pytest.mark.parametrize("vocabulary", [512, 4096, 32_000])
def test_the_tokenizer_has_as_many_tokens_as_the_model_and_loses_nothing(vocabulary: int) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_json(vocabulary))
    assert tokenizer.get_vocab_size() == vocabulary
    text = "the quick brown fox, ünd søme 漢字"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_graphs_follow_the_slot_contract(models: dict[str, Path]) -> None:
    for model in models.values():
        graph = open_graph(model.read_bytes())
        assert (graph.layers, graph.vocabulary) == (_TINY.layers, _TINY.vocabulary)


def test_a_step_reads_everything_but_the_embedding(models: dict[str, Path]) -> None:
    embedding = _TINY.vocabulary * _TINY.width * 4
    fp32 = weight_bytes_per_step(models["fp32"])
    assert models["fp32"].stat().st_size - embedding == pytest.approx(fp32, rel=0.05)
    assert 0.1 < weight_bytes_per_step(models["int4"]) / fp32 < 0.25


def test_the_bundle_is_published(models: dict[str, Path], tmp_path: Path) -> None:
    publish_language_model(tmp_path / "r", "m", models["int4"], _TINY, 4, tmp_path / "staged")
    bundle = find_bundle(tmp_path / "r", "m", None)
    assert bundle.manifest.runner == "generation"
    assert bundle.manifest.batching.max_batch_size == 4


def test_genais_graphs_compute_what_the_slot_graph_computes(
    models: dict[str, Path], tmp_path: Path
) -> None:
    ids = np.random.default_rng(0).integers(0, _TINY.vocabulary, (2, 9))
    cache = np.zeros((2, _TINY.kv_heads, 9, _TINY.head_size), np.float16)
    empty: dict[str, np.ndarray] = {
        f"past.{layer}.{side}": cache for layer in range(_TINY.layers) for side in ("key", "value")
    }
    slot: dict[str, np.ndarray] = {
        "ids": ids,
        "seqlens_k": np.full(2, 8, np.int32),
        "total": np.array([9], np.int32),
        "logit_idx": np.arange(18),
    }
    expected = _logits(models["fp32"], {**slot, **empty}).reshape(2, 9, -1)
    masked: dict[str, np.ndarray] = {
        "ids": ids,
        "attention_mask": np.ones((2, 9), np.int64),
        **empty,
    }
    for batch in (1, 8):
        folder = tmp_path / str(batch)
        genai_folder(folder, models["fp32"], _TINY, 1, batch)
        found = _logits(folder / MODEL, masked)
        np.testing.assert_allclose(found, expected if batch > 1 else expected[:, -1:], atol=1e-4)


def test_the_bare_decoder_steps_and_reads(models: dict[str, Path]) -> None:
    decoder = BareDecoder(str(models["int4"]), 1, _TINY.context)
    assert decoder.step_ms(rows=2, past=3, steps=4) > 0
    assert decoder.read_gb_per_s() > 0


def _logits(model: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["logits"], inputs)[0]
    return found
