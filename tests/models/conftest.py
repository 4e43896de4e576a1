"""Staged bundles for tests of the contract. The contract never opens the graph, so its bytes are free."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import ManifestDraft, TensorSpec


@pytest.fixture
def draft() -> ManifestDraft:
    spec = {"dtype": DataType.FLOAT, "shape": ("batch", 3)}
    return ManifestDraft(
        name="tiny",
        task="tensor",
        inputs=(TensorSpec(name="x", **spec),),
        outputs=(TensorSpec(name="y", **spec),),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
    )


@pytest.fixture
def stage(tmp_path: Path) -> Callable[[bytes], Path]:
    """Make a folder as the export stage leaves it; its content identifies the version."""

    def make(weights: bytes = b"weights") -> Path:
        folder = tmp_path / "staged"
        (folder / "plots").mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(weights)
        (folder / "plots" / "loss.png").write_bytes(b"picture of " + weights)
        rows = np.arange(6, dtype=np.float32).reshape(2, 3)
        Golden({"x": rows}, {"y": rows * 2}).save(folder / "golden.npz")
        return folder

    return make
