"""Bundles with variants, made as `slipway optimize` makes them, once."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.graphs.optimized import publish_optimized
from benchmarks.graphs.optimized_models import MODELS
from benchmarks.harness.options import Options
from models.catalog import find_bundle

BY_KEY = {model.key: model for model in MODELS}
QUICK = Options(seconds=0.1)


def test_rows_that_judge_are_asked_one_by_one_and_are_not_those_that_calibrate() -> None:
    recipe = BY_KEY["cnn"].recipe(QUICK)
    judging = np.concatenate([batch["x"] for batch in recipe.judging])
    asked = np.concatenate([row["x"] for row in recipe.asked])
    assert np.array_equal(judging, asked)
    assert recipe.labels is not None
    assert len(recipe.labels) == len(asked)
    learned = np.concatenate([batch["x"] for batch in recipe.calibrating])
    assert not any(np.array_equal(row, other) for row in learned[:4] for other in judging)


def test_models_have_names_of_their_own() -> None:
    assert len(BY_KEY) == len(MODELS)


@pytest.mark.slow
def test_a_model_is_made_once_and_published_with_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = BY_KEY["mlp"].recipe(QUICK)
    table = publish_optimized(recipe, tmp_path / "first", tmp_path / "cache", tmp_path / "made")
    assert "onnxruntime:int8-static" in table
    first = find_bundle(tmp_path / "first", "mlp")
    assert f"{table.count(' kept')}" == f"{len(first.manifest.variants)}"

    def never(*_: object) -> None:
        raise AssertionError("it was made already")

    monkeypatch.setattr("benchmarks.graphs.optimized._make", never)
    again = publish_optimized(recipe, tmp_path / "second", tmp_path / "cache", tmp_path / "other")
    assert again == table
    second = find_bundle(tmp_path / "second", "mlp")
    assert second.manifest.files == first.manifest.files
    assert second.manifest.variants == first.manifest.variants
