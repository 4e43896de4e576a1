"""Manifests round-trip exactly, and what the schema refuses is refused."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.blocks import (
    ClassConditionPreprocessing,
    ClassificationPostprocessing,
    GenerationPostprocessing,
    ImagePostprocessing,
    ImagePreprocessing,
    PromptPreprocessing,
    TensorPostprocessing,
    TensorPreprocessing,
    TextPreprocessing,
)
from models.datatypes import DataType
from models.errors import ManifestInvalid
from models.manifest import (
    Batching,
    ConfidenceInterval,
    Evaluation,
    FileEntry,
    Gate,
    Manifest,
    ManifestDraft,
    Provenance,
    TensorSpec,
    Variant,
)

_words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
_files = st.from_regex(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}(/[A-Za-z0-9][A-Za-z0-9._-]{0,8})?", fullmatch=True
)
_numbers = st.floats(allow_nan=False, allow_infinity=False)
_positive = st.floats(min_value=1e-6, max_value=1e6)


@st.composite
def _specs(draw: st.DrawFn) -> TensorSpec:
    shape = draw(st.lists(st.one_of(st.integers(1, 10**6), _words), max_size=4))
    named = sorted({axis for axis in shape if isinstance(axis, str)})
    return TensorSpec(
        name=draw(st.text(min_size=1, max_size=20)),
        dtype=draw(st.sampled_from(DataType)),
        shape=tuple(shape),
        batch_axis=draw(st.integers(0, len(shape) - 1)) if shape else None,
        pad_axes=tuple(named[: draw(st.integers(0, len(named)))]),
        pad_value=draw(_numbers),
    )


def _unique_specs() -> st.SearchStrategy[list[TensorSpec]]:
    return st.lists(_specs(), min_size=1, max_size=3, unique_by=lambda spec: spec.name)


_preprocessing = st.one_of(
    st.builds(TensorPreprocessing),
    st.builds(
        ImagePreprocessing, scale=_numbers, mean=st.tuples(_numbers), std=st.tuples(_numbers)
    ),
    st.builds(TextPreprocessing, tokenizer=_files),
    st.builds(PromptPreprocessing, tokenizer=_files),
    st.builds(ClassConditionPreprocessing, labels=_files),
)
_postprocessing = st.one_of(
    st.builds(TensorPostprocessing),
    st.builds(ClassificationPostprocessing, labels=_files),
    st.builds(GenerationPostprocessing),
    st.builds(ImagePostprocessing),
)
_intervals = st.builds(
    ConfidenceInterval,
    low=_numbers,
    high=_numbers,
    level=st.floats(0.01, 0.99),
    method=st.text(max_size=9),
)
_evaluations = st.builds(
    Evaluation,
    value=_numbers,
    interval=st.none() | _intervals,
    baselines=st.dictionaries(st.text(max_size=9), _numbers, max_size=2),
)
_gates = st.builds(Gate, limit=_numbers, measured=_numbers)
_variants = st.builds(
    Variant,
    precision=st.sampled_from(["int8", "int8-dynamic", "fp16"]),
    file=st.none(),
    accuracy_delta=_numbers,
    max_difference=_positive,
    latency_ms=st.dictionaries(st.integers(1, 64), _positive, max_size=2),
)
_config = st.dictionaries(
    st.text(max_size=9), st.none() | st.booleans() | st.integers() | st.text(max_size=9)
)
_provenance = st.builds(Provenance, config=_config, duration_s=_positive)
_entries = st.builds(FileEntry, sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True))


@st.composite
def _manifests(draw: st.DrawFn) -> Manifest:
    return Manifest(
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)),
        task=draw(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)),
        description=draw(st.text(max_size=30)),
        inputs=tuple(draw(_unique_specs())),
        outputs=tuple(draw(_unique_specs())),
        preprocessing=draw(_preprocessing),
        postprocessing=draw(_postprocessing),
        batching=draw(st.builds(Batching)),
        evaluation=tuple(draw(st.lists(_evaluations, max_size=2))),
        gates=tuple(draw(st.lists(_gates, max_size=2))),
        variants=tuple(draw(st.lists(_variants, max_size=2))),
        temperature=draw(_positive),
        provenance=draw(st.none() | _provenance),
        version=draw(st.integers(1, 999_999_999)),
        created_at="2026-01-01T00:00:00+00:00",
        files=draw(st.dictionaries(_files, _entries, max_size=3)) | {"model.onnx": draw(_entries)},
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_manifests())
def test_every_manifest_round_trips_to_the_same_record_and_bytes(manifest: Manifest) -> None:
    data = manifest.to_json()
    again = Manifest.from_json(data)
    assert again == manifest
    assert again.to_json() == data


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_manifests(), st.data())
def test_a_manifest_without_a_required_field_is_refused_by_name(
    manifest: Manifest, data: st.DataObject
) -> None:
    record = json.loads(manifest.to_json())
    required = [name for name, field in Manifest.model_fields.items() if field.is_required()]
    gone = data.draw(st.sampled_from(required))
    del record[gone]
    with pytest.raises(ManifestInvalid, match=gone):
        Manifest.from_json(json.dumps(record).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b'{"version": NaN}', b"null"])
def test_what_is_not_a_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.from_json(data)


@pytest.mark.parametrize(
    "file", ["../x", "/etc/passwd", "a/../b", "a//b", "a/", ".hidden", "a\\b", "a\0b", "", "a b"]
)
def test_a_file_name_that_could_climb_out_is_refused(draft: ManifestDraft, file: str) -> None:
    record = draft.model_dump(mode="json") | {
        "version": 1,
        "created_at": "now",
        "files": {
            "model.onnx": {"sha256": "0" * 64, "size_bytes": 1},
            file: {"sha256": "0" * 64, "size_bytes": 1},
        },
    }
    with pytest.raises(ManifestInvalid, match="files"):
        Manifest.from_json(json.dumps(record).encode())


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_figures_are_finite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Evaluation(dataset="d", split="test", metric="accuracy", value=value, samples=1)


def test_padding_an_axis_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="pad_axes"):
        TensorSpec(
            name="x", dtype=DataType.INT64, shape=("batch", "sequence"), pad_axes=("length",)
        )


def test_the_written_json_schema_is_the_code(request: pytest.FixtureRequest) -> None:
    written = Path(request.config.rootpath, "docs", "manifest.schema.json").read_text()
    assert json.loads(written) == Manifest.model_json_schema(), "run `make docs`"
