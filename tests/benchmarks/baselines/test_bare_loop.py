"""The limit that everything is judged by: it runs what it is told, in a process of its own."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.graphs.mlp import mlp_input, publish_mlp
from benchmarks.harness.bare import Plan, bare_loop, session_answer
from benchmarks.harness.failures import MeasurementFailed
from models.manifest import MODEL_FILE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    publish_mlp(folder / "repository", folder / "staged")
    return folder / "repository" / "mlp" / "1" / MODEL_FILE


def test_it_counts_items_and_times_runs(model: Path, tmp_path: Path) -> None:
    with bare_loop(model, [{"x": mlp_input()}] * 3, tmp_path) as bare:
        one = bare.run(Plan(1, 1), 0.1)
        batched = bare.run(Plan(2, 1, batch=16), 0.1)
        best = bare.best([Plan(1, 1), Plan(1, 1, batch=64)], 0.1)
    assert one.rate == pytest.approx(1e3 / one.p50_ms, rel=0.9)
    assert batched.rate > one.rate  # items, not runs
    assert best == Plan(1, 1, batch=64)


def test_one_that_dies_is_a_failed_measurement(tmp_path: Path) -> None:
    model = tmp_path / "none" / "1" / MODEL_FILE
    with (
        bare_loop(model, [{"x": mlp_input()}], tmp_path) as bare,
        pytest.raises(MeasurementFailed, match="ended early"),
    ):
        bare.run(Plan(1, 1), 0.1)


def test_the_truth_is_what_the_graph_says(model: Path) -> None:
    answer = session_answer(model, {"x": np.zeros((2, 128), np.float32)})
    assert answer["y"].shape == (2, 10)
