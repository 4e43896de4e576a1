"""What every training imports, for a process that trainings are forked from. No thread may be started here:
a fork would lose it."""

import importlib
import os

# Read by OpenMP when torch is loaded; `slipway train` sets it too, and would come too late.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

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
