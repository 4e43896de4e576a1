"""The manifest: everything a server must know about a bundle, as one frozen, versioned record.

`Manifest` is what `manifest.json` holds; `ManifestDraft` is the same without what only publishing can
know (version, creation time, checksums). Schema changes raise `SCHEMA_VERSION`; readers refuse a number
they do not know instead of guessing. `docs/manifest.schema.json` is generated from this module.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from models.blocks import Postprocessing, Preprocessing, Record, RelativeFile
from models.datatypes import DataType
from models.errors import ManifestInvalid
from models.naming import NAME_PATTERN

SCHEMA_VERSION: Literal[1] = 1
MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
GOLDEN_FILE = "golden.npz"

Axis = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class TensorSpec(Record):
    """One graph input or output. Axes are sizes or names; the same name means the same size."""

    name: str = Field(min_length=1, max_length=255)
    dtype: DataType
    shape: tuple[Axis, ...] = Field(max_length=16)
    batch_axis: int | None = Field(
        default=0, ge=0, description="axis along which items are stacked"
    )
    pad_axes: tuple[str, ...] = Field(default=(), description="named axes the batcher may pad")
    pad_value: float = Field(default=0.0, description="what padding is filled with")

    @model_validator(mode="after")
    def _axes_exist(self) -> Self:
        if self.batch_axis is not None and self.batch_axis >= len(self.shape):
            raise ValueError(
                f"tensor {self.name!r}: batch_axis {self.batch_axis} is outside its shape"
            )
        unknown = set(self.pad_axes) - {axis for axis in self.shape if isinstance(axis, str)}
        if unknown:
            raise ValueError(
                f"tensor {self.name!r}: pad_axes {sorted(unknown)} are not in its shape"
            )
        return self


class QueuePolicy(Record):
    """Bounds of one waiting queue (Triton's `default_queue_policy`)."""

    max_queue_size: int = Field(
        default=0, ge=0, description="items; 0 derives it from batch and workers"
    )
    default_timeout_microseconds: int = Field(
        default=0, ge=0, description="longest wait in the queue; 0: only the request's own deadline"
    )
    timeout_action: Literal["REJECT", "DELAY"] = Field(
        default="REJECT",
        description="to a request that has waited its timeout: refuse it, or serve it behind all "
        "others of its priority level",
    )
    allow_timeout_override: bool = Field(
        default=False,
        description="true: a request that names its own timeout is bound by that instead of the "
        "default; a shorter one of its own always counts",
    )


class Batching(Record):
    """Hints to the batcher, in Triton's and TF Serving's words; an operator's settings win over them."""

    max_batch_size: int = Field(default=1, ge=1, le=65_536, description="items in one run")
    max_queue_delay_microseconds: int = Field(
        default=0, ge=0, description="0 never waits for company"
    )
    preferred_batch_size: tuple[int, ...] = Field(
        default=(), description="while a delay is running, a batch of one of these goes at once"
    )
    allowed_batch_sizes: tuple[int, ...] = Field(
        default=(), description="batches are padded up to one of these"
    )
    length_buckets: tuple[int, ...] = Field(
        default=(),
        description="axes that may be padded are padded up to one of these lengths, for runtimes that "
        "prepare each shape anew; what is longer, or all without any, is as long as the longest of its batch",
    )
    max_batch_tokens: int = Field(
        default=0, ge=0, description="padded tokens in one run; 0: no limit"
    )
    priority_levels: int = Field(
        default=0, ge=0, le=100, description="1 is the highest level; 0: all requests are equal"
    )
    default_priority_level: int = Field(
        default=0, ge=0, le=100, description="of requests that name none; 0: the middle one"
    )
    default_queue_policy: QueuePolicy = QueuePolicy()
    instance_group: int = Field(
        default=0, ge=0, le=256, description="batches that run at once; 0: one per worker"
    )

    @model_validator(mode="after")
    def _sizes_and_level_exist(self) -> Self:
        for name in ("preferred_batch_size", "allowed_batch_sizes"):
            sizes = getattr(self, name)
            if any(size < 1 for size in sizes):
                raise ValueError(f"{name} {list(sizes)}: a batch has at least one item")
        if any(length < 1 for length in self.length_buckets):
            raise ValueError(f"length_buckets {list(self.length_buckets)}: lengths are positive")
        if self.default_priority_level > self.priority_levels:
            raise ValueError(
                f"default_priority_level {self.default_priority_level} is not one of "
                f"{self.priority_levels} priority_levels"
            )
        return self


class ConfidenceInterval(Record):
    low: float
    high: float
    level: float = Field(default=0.95, gt=0, lt=1)
    method: str = Field(description="how it was computed, e.g. wilson or bootstrap-1000")


class Evaluation(Record):
    """One measured figure on one split. The first in the list is the main metric."""

    dataset: str
    split: str
    metric: str
    value: float
    higher_is_better: bool = True
    interval: ConfidenceInterval | None = None
    samples: int = Field(ge=0, description="items the figure was computed on")
    baselines: dict[str, float] = Field(
        default_factory=dict, description="same figure for simpler methods"
    )


class Gate(Record):
    """A condition that stopped, or would have stopped, publication."""

    name: str
    limit: float
    measured: float
    comparison: Literal["<=", ">="]
    passed: bool
    detail: str = ""


class Tolerance(Record):
    """How far the golden exam's answers may lie from the recorded ones: |a−b| ≤ atol + rtol·|b|."""

    atol: float = Field(default=1e-4, ge=0)
    rtol: float = Field(default=1e-3, ge=0)


class Variant(Record):
    """Another way to run the same weights; `file` is absent when only a runtime setting differs.

    Runtime, provider and precision together name it. A variant stands here because it was measured, through
    the runtime that serves it, and kept within the accuracy budget.
    """

    precision: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    runtime: str = "onnxruntime"
    provider: str = "cpu"
    compute: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="what the runtime computes in where the graph says float"
    )
    file: RelativeFile | None = None
    size_bytes: int = Field(ge=0)
    accuracy_delta: float = Field(description="main metric minus the reference's")
    accuracy_interval: ConfidenceInterval | None = Field(
        default=None, description="of the delta, both judged on the same items"
    )
    max_difference: float = Field(
        ge=0, description="largest absolute output difference to the reference"
    )
    tolerance: Tolerance | None = Field(
        default=None,
        description="how far its answers to the golden exam may lie from the reference's; absent for a "
        "variant with an exam of its own",
    )
    is_row_independent: bool = Field(
        default=True,
        description="an item's answer does not depend on what shares its batch; false: it is run alone",
    )
    latency_ms: dict[int, float] = Field(default_factory=dict, description="batch size → median")
    throughput: dict[int, float] = Field(
        default_factory=dict, description="batch size → items per second, every core at work"
    )
    hardware: str = Field(default="", description="what the figures were measured on")

    @property
    def golden_file(self) -> str | None:
        """Where a variant that can be served has its own golden exam: its answers are not the
        reference's."""
        return None if self.file is None else f"{self.file.removesuffix('.onnx')}.npz"


class Provenance(Record):
    """Where the weights come from, complete enough to train them again."""

    recipe: str
    config: dict[str, object] = Field(description="the recipe's full configuration")
    seed: int
    data_sha256: str = Field(description="hash of the data the run read")
    git_commit: str | None = None
    versions: dict[str, str] = Field(default_factory=dict, description="package → version")
    duration_s: float = Field(default=0.0, ge=0)


class FileEntry(Record):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class ManifestDraft(Record):
    """What training knows; `models.publish` turns it into a Manifest."""

    name: str = Field(pattern=NAME_PATTERN)
    task: str = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")
    description: str = ""
    runner: Literal["batch", "generation"] = Field(
        default="batch", description="batch: stateless runs; generation: the slot engine"
    )
    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)
    preprocessing: Preprocessing
    postprocessing: Postprocessing
    batching: Batching = Batching()
    tolerance: Tolerance = Tolerance()
    evaluation: tuple[Evaluation, ...] = ()
    gates: tuple[Gate, ...] = ()
    precision: str = "fp32"
    variants: tuple[Variant, ...] = ()
    temperature: float = Field(
        default=1.0, gt=0, description="calibration: logits are divided by it"
    )
    reference: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="statistics of the training inputs, for drift"
    )
    provenance: Provenance | None = Field(default=None, description="absent for imported graphs")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for side in ("inputs", "outputs"):
            names = [spec.name for spec in getattr(self, side)]
            if len(set(names)) != len(names):
                raise ValueError(f"{side} repeat a name: {sorted(names)}")
        return self

    @property
    def gates_passed(self) -> bool:
        return all(gate.passed for gate in self.gates)


class Manifest(ManifestDraft):
    """`manifest.json`: the draft plus what publishing adds."""

    schema_version: Literal[1] = 1
    version: int = Field(ge=1, le=999_999_999)
    created_at: str = Field(description="UTC, ISO 8601")
    files: dict[RelativeFile, FileEntry] = Field(description="every file but the manifest itself")

    @model_validator(mode="after")
    def _model_is_listed(self) -> Self:
        wanted = [MODEL_FILE, *(variant.file for variant in self.variants if variant.file)]
        missing = [file for file in wanted if file not in self.files]
        if missing:
            raise ValueError(f"files does not list {missing}")
        return self

    def to_json(self) -> bytes:
        """Canonical bytes: sorted keys, two-space indent, final newline."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Parse and validate. Raises ManifestInvalid naming the first field that is wrong."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "manifest"
            more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
            raise ManifestInvalid(f"{where}: {first['msg']}{more}") from error
