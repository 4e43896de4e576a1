"""The model configuration extension: a version as Triton's `ModelConfig` would describe it.

Made from the manifest and from what the batcher obeys, so operators' settings show. What Triton has no
field for stands in `parameters`, whose values are strings.
"""

from collections.abc import Mapping
from types import MappingProxyType

from models.blocks import ClassificationPostprocessing
from models.datatypes import DataType
from models.manifest import MODEL_FILE, Manifest, TensorSpec
from service.batching.limits import BatchLimits
from service.lifecycle.version_policy import VersionPolicy
from service.protocol.shapes import as_sizes, rest
from service.selection.choice import REFERENCE_RUNTIME, Choice

_KINDS = {"CUDAExecutionProvider": "KIND_GPU", "TensorrtExecutionProvider": "KIND_GPU"}
_TYPES = {DataType.FLOAT16: "FP16", DataType.BFLOAT16: "BF16", DataType.FLOAT: "FP32",
          DataType.DOUBLE: "FP64"}  # fmt: skip


def model_config(
    manifest: Manifest,
    limits: BatchLimits | None,
    provider: str,
    choice: Choice | None = None,
    details: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, object]:
    """`limits` None: the version runs no batches (it generates). `provider`: where it computes, by ONNX
    Runtime's name. `choice` None: not settled yet. `details`: what its session says of itself."""
    runtime = REFERENCE_RUNTIME if choice is None else choice.runtime
    is_batched = limits is not None and _has_batch_first(manifest)
    config: dict[str, object] = {
        "name": manifest.name,
        "platform": "onnxruntime_onnx" if runtime == REFERENCE_RUNTIME else "",
        "backend": runtime,
        "max_batch_size": limits.max_batch_size if limits is not None and is_batched else 0,
        "input": [_input(spec, is_batched) for spec in manifest.inputs],
        "output": [_output(spec, is_batched, manifest) for spec in manifest.outputs],
        "instance_group": [
            {
                "name": manifest.name,
                "kind": _KINDS.get(provider, "KIND_CPU"),
                "count": 1 if limits is None else limits.concurrency,
            }
        ],
        "default_model_filename": MODEL_FILE if choice is None else choice.file,
        "parameters": {
            **_strings(details),
            **_parameters(manifest, limits, choice),
        },
        "model_warmup": [],
    }
    if limits is not None and is_batched:
        config["dynamic_batching"] = _dynamic_batching(limits)
    return config


def version_policy(policy: VersionPolicy) -> dict[str, object]:
    if policy.kind == "specific":
        return {"specific": {"versions": list(policy.versions)}}
    return {"all": {}} if policy.kind == "all" else {"latest": {"num_versions": policy.count}}


def _has_batch_first(manifest: Manifest) -> bool:
    """Triton's batches lie along the first axis of every tensor; of others it is told that there are none."""
    return all(spec.batch_axis == 0 for spec in (*manifest.inputs, *manifest.outputs))


def _input(spec: TensorSpec, is_batched: bool) -> dict[str, object]:
    return {
        **_tensor(spec, is_batched),
        "format": "FORMAT_NONE",
        "is_shape_tensor": False,
        "allow_ragged_batch": False,
        "optional": False,
    }


def _output(spec: TensorSpec, is_batched: bool, manifest: Manifest) -> dict[str, object]:
    block = manifest.postprocessing
    is_labelled = isinstance(block, ClassificationPostprocessing) and block.output == spec.name
    label_file = block.labels if isinstance(block, ClassificationPostprocessing) else ""
    return {
        **_tensor(spec, is_batched),
        "label_filename": label_file if is_labelled else "",
        "is_shape_tensor": False,
    }


def _tensor(spec: TensorSpec, is_batched: bool) -> dict[str, object]:
    return {
        "name": spec.name,
        "data_type": f"TYPE_{_TYPES.get(spec.dtype, spec.dtype.value)}",
        "dims": as_sizes(rest(spec) if is_batched else spec.shape),
    }


def _dynamic_batching(limits: BatchLimits) -> dict[str, object]:
    policy = {
        "timeout_action": "DELAY" if limits.delays_late else "REJECT",
        "default_timeout_microseconds": round((limits.queue_timeout_s or 0.0) * 1e6),
        "allow_timeout_override": limits.allow_timeout_override,
        "max_queue_size": limits.max_queue_rows,
    }
    return {
        "preferred_batch_size": list(limits.preferred_batch_size),
        "max_queue_delay_microseconds": round(limits.max_queue_delay_s * 1e6),
        "preserve_ordering": False,
        "priority_levels": limits.priority_levels,
        "default_priority_level": limits.default_priority_level,
        "default_queue_policy": policy,
        "priority_queue_policy": {},
    }


def _parameters(
    manifest: Manifest, limits: BatchLimits | None, choice: Choice | None
) -> dict[str, dict[str, str]]:
    found = {"task": manifest.task, "runner": manifest.runner, "precision": manifest.precision}
    if choice is not None:
        found |= {
            "runtime": choice.runtime,
            "provider": choice.provider,
            "precision": choice.precision,
            "compute": choice.compute,
            "selection": choice.reason,
        }
    if limits is not None and limits.allowed_batch_sizes:
        found["allowed_batch_sizes"] = ",".join(map(str, limits.allowed_batch_sizes))
    if limits is not None and limits.length_buckets:
        found["length_buckets"] = ",".join(map(str, limits.length_buckets))
    if limits is not None and limits.max_batch_tokens:
        found["max_batch_tokens"] = str(limits.max_batch_tokens)
    return _strings(found)


def _strings(found: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"string_value": value} for name, value in found.items()}
