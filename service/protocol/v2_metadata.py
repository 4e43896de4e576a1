"""Open Inference Protocol V2: what the server and its models say about themselves."""

from collections.abc import Sequence

from models.datatypes import BY_ONNX
from models.manifest import Manifest, TensorSpec
from service.protocol.shapes import as_sizes

EXTENSIONS: tuple[str, ...] = (
    "binary_tensor_data",
    "classification",
    "generate",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "schedule_policy",
    "statistics",
)
"""Names of Triton's extensions that are fully there; clients decide by this list, so it never boasts."""

PLATFORM = "onnx_onnxv1"


def server_metadata(version: str) -> dict[str, object]:
    return {"name": "slipway", "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(manifest: Manifest, versions: Sequence[int]) -> dict[str, object]:
    """`versions`: those that are served. Sizes that vary are -1."""
    return {
        "name": manifest.name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [_tensor(spec) for spec in manifest.inputs],
        "outputs": [_tensor(spec) for spec in manifest.outputs],
    }


def _tensor(spec: TensorSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "datatype": BY_ONNX[spec.dtype.value].v2,
        "shape": as_sizes(spec.shape),
    }
