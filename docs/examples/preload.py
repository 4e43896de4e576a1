"""What every training imports, for a process that trainings are forked from. No thread may be started here:
a fork would lose it."""

import importlib

from training.cli import calm_openmp

calm_openmp()  # `slipway train` does it too, and would come too late

for _name in (
    "slipway",
    "torch",
    "lightning.pytorch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "sklearn.metrics",
    "training.pipeline",
):
    importlib.import_module(_name)
