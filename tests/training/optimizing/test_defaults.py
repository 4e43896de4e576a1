"""What is tried when nobody says, and why something is not."""

from pathlib import Path

import onnx
import pytest

from models.manifest import MODEL_FILE
from models.runtimes.hardware import Hardware
from tests.training.optimizing.fake_subject import subject_in
from training.optimizing import defaults
from training.optimizing.targets import TARGETS, get


def machine(*instruction_sets: str, gpus: tuple[str, ...] = ()) -> Hardware:
    return Hardware("a processor", "", instruction_sets, 2, gpus, {})


def test_bfloat16_needs_a_processor_that_computes_in_it() -> None:
    pytest.importorskip("openvino", reason="the runtime that computes in bfloat16")
    target = get("openvino:bf16")
    assert defaults.why_not(target, machine("avx512_bf16")) == ""
    assert defaults.why_not(target, machine("avx2")) == "this processor does not compute in bf16"


def test_a_gpu_target_is_refused_without_one_and_says_what_is_missing() -> None:
    assert defaults.why_not(get("onnxruntime:fp16@cuda"), machine("avx2")) != ""


def test_training_tries_the_works_own_files_and_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults, "why_not", lambda target: "")
    names = [one.name for one in defaults.quick(subject_in(tmp_path, "int8-dynamic"))]
    assert names == ["onnxruntime:int8-dynamic", "openvino:bf16"]


def test_a_thorough_search_tries_all_that_the_subject_can_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults, "why_not", lambda target: "")
    found = {one.name for one in defaults.thorough(subject_in(tmp_path, "int8-dynamic"))}
    assert found == set(TARGETS) - {"onnxruntime:int4-weight-only"}


def test_files_with_other_weights_need_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults, "why_not", lambda target: "")
    subject = subject_in(tmp_path, "fp32-optimized")
    subject.why_not_evaluated = "there are no data"
    forms = {one.form for one in defaults.thorough(subject)}
    assert forms == {None, "fp32-optimized"}


def test_convolutions_gain_nothing_from_quantised_matrices(tmp_path: Path) -> None:
    subject_in(tmp_path)
    assert defaults.is_mostly_matrices(tmp_path / MODEL_FILE)
    model = onnx.load(tmp_path / MODEL_FILE)
    kernel = onnx.numpy_helper.from_array(
        __import__("numpy").zeros((32, 32, 3, 3), "float32"), "kernel"
    )
    model.graph.initializer.append(kernel)
    onnx.save_model(model, tmp_path / MODEL_FILE)
    assert not defaults.is_mostly_matrices(tmp_path / MODEL_FILE)
