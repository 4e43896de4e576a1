"""Names of targets, as people type them."""

import pytest

from models.errors import UsageError
from models.runtimes import known
from training.optimizing.targets import TARGETS, get, named, of_precisions


def test_every_target_is_found_by_its_name_and_has_a_runtime() -> None:
    runtimes = {info.name for info in known()}
    for name, target in TARGETS.items():
        assert get(name) is target
        assert target.runtime in runtimes
        assert target.summary


def test_no_two_targets_make_the_same_variant() -> None:
    assert len({(t.runtime, t.provider, t.precision) for t in TARGETS.values()}) == len(TARGETS)


def test_an_unknown_one_is_answered_with_the_known_and_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        get("onnxruntime:int8static")
    assert "did you mean onnxruntime:int8-static?" in caught.value.message
    assert "openvino:bf16" in caught.value.message


def test_each_is_tried_once_in_the_order_given() -> None:
    wanted = named(["openvino:bf16", "onnxruntime:int8-static", "openvino:bf16"])
    assert [target.name for target in wanted] == ["openvino:bf16", "onnxruntime:int8-static"]


def test_naming_none_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="no target is named"):
        named(["", ""])


def test_one_file_serves_several_targets() -> None:
    found = of_precisions(("int8-static",))
    assert {t.file for t in found if t.form} == {"variants/int8-static.onnx"}
    assert {t.runtime for t in found if t.form} == {"onnxruntime", "openvino"}
