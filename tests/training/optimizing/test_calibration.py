"""Ranges come from the rows, a few rows at a time."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.manifest import MODEL_FILE
from tests.training.optimizing.fake_subject import FEATURES, write_graph
from training.errors import DataError
from training.optimizing.calibration import CALIBRATORS, learn_ranges, small_batches
from training.quantize import prepare, quiet


def test_all_rows_pass_in_batches_of_sixteen() -> None:
    batches = list(small_batches([{"x": np.arange(40)[:, None]}, {"x": np.arange(3)[:, None]}]))
    assert [len(batch["x"]) for batch in batches] == [16, 16, 8, 3]
    assert np.concatenate([batch["x"] for batch in batches])[:, 0].tolist() == [*range(40), 0, 1, 2]


@pytest.mark.parametrize(("values", "rows"), [(1, 512), (1 << 18, 64), (1 << 22, 32)])
def test_large_rows_are_fewer(values: int, rows: int) -> None:
    one = np.broadcast_to(np.float32(0), (1000, values))
    batches = small_batches([{"x": one}])
    assert sum(len(batch["x"]) for batch in batches) == rows


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda one: one.name)
def test_every_calibrator_learns_from_several_batches(
    calibrator: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_graph(tmp_path / MODEL_FILE)
    prepared, target = tmp_path / "prepared.onnx", tmp_path / "ranges.json"
    quiet_batches = [{"point": np.full((4, FEATURES), 0.5, np.float32)}] * 2
    loud = {"point": np.linspace(-3, 3, 4 * FEATURES, dtype=np.float32).reshape(4, FEATURES)}
    with quiet():
        prepare(tmp_path / MODEL_FILE, prepared)
    learn_ranges(prepared, [*quiet_batches, loud], calibrator, ("MatMul",), target)  # type: ignore[arg-type]
    document = json.loads(target.read_text())
    found = (document["data"]["point"][end] for end in ("lowest", "highest"))
    low, high = (float(np.ravel(one["data"] if isinstance(one, dict) else one)[0]) for one in found)
    assert -3.1 < low < 0 < high < 3.1
    assert capsys.readouterr().out == ""


def test_no_rows_are_an_error() -> None:
    with pytest.raises(DataError, match="no rows to calibrate with"):
        learn_ranges(Path("x"), [], CALIBRATORS[0], (), Path("y"))
