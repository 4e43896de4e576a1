"""What may be chosen is what the manifest vouches for and what is there; every choice has its exam."""

import json

import pytest

from models.manifest import GOLDEN_FILE, Manifest, Tolerance, Variant
from service.selection.choice import (
    Choice,
    available,
    candidates,
    choice_of,
    exam_of,
    reference,
    variant_of,
)
from tests.service.manifests import vector

LOOSE = Tolerance(atol=0.5, rtol=0.1)


def variant(precision: str, **more: object) -> Variant:
    measured = {"size_bytes": 1, "accuracy_delta": 0.0, "max_difference": 0.1, "tolerance": LOOSE}
    return Variant(precision=precision, **{**measured, **more})


INT8 = variant("int8-static", file="variants/int8-static.onnx")
BF16 = variant("bf16", runtime="openvino", compute="bf16")
DYNAMIC = variant("int8-dynamic", file="variants/int8-dynamic.onnx", is_row_independent=False)
FP16 = variant("fp16", provider="cuda", file="variants/fp16.onnx")
UNEXAMINED = variant("int4", file="variants/int4.onnx", tolerance=None)


def manifest(*variants: Variant, **more: object) -> Manifest:
    return vector(4).model_copy(update={"variants": variants, **more})


def both(runtime: str, provider: str) -> bool:
    return runtime in ("onnxruntime", "openvino") and (runtime, provider) != ("openvino", "cuda")


def names(found: list[Choice]) -> list[str]:
    return [str(choice) for choice in found]


def test_the_reference_comes_first_and_then_what_the_manifest_vouches_for() -> None:
    found = candidates(manifest(INT8, BF16, FP16, UNEXAMINED), is_available=both)
    assert found[0] == reference(vector(4))
    assert names(found)[-2:] == ["onnxruntime int8-static on cpu", "openvino bf16 on cpu"]
    assert {choice.precision for choice in found} == {"fp32", "int8-static", "bf16"}


def test_a_runtime_that_is_not_there_offers_nothing() -> None:
    found = candidates(manifest(INT8, BF16), is_available=lambda runtime, _: runtime != "openvino")
    assert {choice.runtime for choice in found} == {"onnxruntime"}


def test_one_runtime_alone_starts_from_the_same_graph_there() -> None:
    found = candidates(manifest(INT8, BF16), runtime="openvino", is_available=both)
    assert names(found) == ["openvino fp32 on cpu", "openvino bf16 on cpu"]
    found = candidates(manifest(INT8, BF16), runtime="onnxruntime", is_available=both)
    assert names(found) == ["onnxruntime fp32 on cpu", "onnxruntime int8-static on cpu"]


def test_a_gpu_server_chooses_among_what_was_measured_on_gpus() -> None:
    found = candidates(manifest(INT8, BF16, FP16), provider="cuda", is_available=both)
    assert names(found) == ["onnxruntime fp32 on cuda", "onnxruntime fp16 on cuda"]


def test_a_variant_of_the_same_graph_is_listed_once() -> None:
    same = variant("fp32", runtime="openvino")
    found = candidates(manifest(same), is_available=both)
    assert names(found).count("openvino fp32 on cpu") == 1
    assert exam_of(manifest(same), found[-1]).tolerance == LOOSE


def test_text_models_choose_only_what_their_engine_runs_and_has_an_exam_for() -> None:
    own = variant("int8-weight-only", file="variants/int8.onnx", tolerance=None)
    files = {**vector(4).files, "variants/int8.npz": vector(4).files["model.onnx"]}
    text = manifest(own, BF16, UNEXAMINED, runner="generation", files=files)
    assert names(candidates(text, is_available=both)) == [
        "onnxruntime fp32 on cpu",
        "onnxruntime int8-weight-only on cpu",
    ]
    assert exam_of(text, choice_of(own)).golden == "variants/int8.npz"


def test_each_choice_has_its_exam() -> None:
    described = manifest(INT8, BF16)
    assert exam_of(described, choice_of(INT8)) == (GOLDEN_FILE, LOOSE)
    assert exam_of(described, reference(described)) == (GOLDEN_FILE, described.tolerance)
    assert variant_of(described, choice_of(BF16).because("it is fast")) == BF16
    assert variant_of(described, reference(described)) is None


def test_rows_that_depend_on_each_other_are_run_alone() -> None:
    assert choice_of(DYNAMIC).max_batch_size == 1
    assert choice_of(INT8).max_batch_size == 0


def test_a_choice_crosses_as_json() -> None:
    made = choice_of(DYNAMIC).because("2.10 times as fast")
    assert Choice.from_json(json.loads(json.dumps(made.to_json()))) == made
    for wrong in ({"colour": "red"}, {"runtime": 3}, {"max_batch_size": True}):
        with pytest.raises((TypeError, ValueError)):
            Choice.from_json(wrong)


def test_what_is_installed_is_told_without_importing_it() -> None:
    assert available("onnxruntime", "cpu")
    assert not available("abacus", "cpu")
    assert not available("openvino", "cuda")
