import numpy as np
import pytest

from benchmarks.graphs.optimized_models import MODELS
from benchmarks.scenarios.optimization import SCENARIO, _cosines, _verdicts

TABLE = """\
  target                        size  Δ accuracy  verdict
  onnxruntime:fp32           44.6 MB           –  reference
  openvino:bf16                    –     +0.0000  kept
  onnxruntime:int8-static    11.3 MB     -0.0312  dropped: loses 0.0312 of accuracy, more than 0.005
  openvino:int8-static             –     -0.0039  kept (minmax, 2 of 21 layers in fp32)
"""


def test_every_speed_up_stands_beside_what_it_costs() -> None:
    keys = [promise.key for promise in SCENARIO.promises]
    for model in MODELS:
        for way in ("auto", "plain"):
            assert f"{model.key}.{way}" in keys
            assert f"{model.key}.{way}.budget" in keys
    assert "load" in keys


def test_targets_and_their_fate_are_told_without_figures() -> None:
    assert _verdicts(TABLE) == (
        "openvino:bf16 kept, onnxruntime:int8-static dropped, openvino:int8-static kept"
    )


def test_direction_is_what_a_cosine_compares() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert _cosines(rows, 3 * rows) == pytest.approx([1, 1])
    assert _cosines(rows, rows[::-1]) == pytest.approx([0.5**0.5] * 2)
