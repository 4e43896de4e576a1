"""The onnx package's own tests of every operator: OpenVINO gives the answer that they state, or is refused.

With sizes left free, as in most graphs that are served, and fixed. An answer that is silently wrong is what
this looks for; what is known and let through stands in KNOWN.
"""

import warnings
from typing import Any

import numpy as np
import onnx
import pytest

from models.errors import SlipwayError
from models.manifest import TensorSpec
from models.runtimes import open_session
from models.runtimes.base import SessionOptions
from models.runtimes.graph import Graph
from service.importing.graph import ELEMENTS

pytest.importorskip("openvino")

FIXED_ONLY = {
    "test_nonmaxsuppression_iou_threshold_boundary": "a box that lies exactly on the threshold",
    "test_reduce_max_empty_set": "the maximum of nothing",
    "test_tile": "repeats that are an input of a graph whose sizes are fixed",
    "test_top_k_same_values": "which of equal values comes first",
    "test_top_k_same_values_2d": "which of equal values comes first",
    "test_top_k_same_values_largest": "which of equal values comes first",
}
KNOWN = {
    "test_bernoulli_seed": "draws at random",
    "test_bernoulli_seed_expanded": "draws at random",
    "test_div_int8": "whole numbers of 8 bits are divided as fractions and rounded",
    "test_div_uint8": "whole numbers of 8 bits are divided as fractions and rounded",
    "test_dynamicquantizelinear": "a tie is rounded the other way",
    "test_dynamicquantizelinear_expanded": "a tie is rounded the other way",
    "test_quantizelinear_uint16": "rounded in float32, one step off",
    "test_attention_causal_boolmask_nan_robustness_expanded": "rows without anything to look at: NaN",
    "test_attention_23_boolmask_fullymasked_row_nan_robustness_expanded": "as above",
    "test_attention_4d_causal_nonpad_negative_offset_structural_empty_expanded": "as above",
    "test_attention_23_fullymasked_qk_matmul_output_mode3_zero_expanded": "as above",
    "test_attention_24_fullymasked_qk_matmul_output_mode3_zero_expanded": "as above",
    "test_attention_24_qk_matmul_output_mode3_softmax_precision_expanded": "as above",
    "test_attention_local_window_gqa_rank4_mask_expanded": "as above",
    "test_attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal": "as ONNX Runtime answers",
    "test_attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal": "as ONNX Runtime answers",
    "test_resize_downsample_scales_linear_align_corners": "as ONNX Runtime answers",
    "test_resize_downsample_scales_cubic_align_corners": "as ONNX Runtime answers",
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("is_free", [True, False], ids=["free sizes", "fixed sizes"])
def test_every_operator_is_answered_rightly_or_refused(is_free: bool) -> None:
    verdicts = {case.name: verdict(case, is_free) for case in _cases()}
    right = [name for name, found in verdicts.items() if found == "right"]
    wrong = {name: found for name, found in verdicts.items() if found.startswith("wrong")}
    assert len(right) > 700, "there was something to find"
    known = KNOWN if is_free else KNOWN | FIXED_ONLY
    assert {name: found for name, found in wrong.items() if name not in known} == {}
    if is_free:
        assert [name for name in KNOWN if name in verdicts and name not in wrong] == [], "mended"


def _cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, about what the cases compute on purpose
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    return [case for case in cases if case.model is not None and _is_tensors(case.model)]


def _is_tensors(model: onnx.ModelProto) -> bool:
    """Of element types that a manifest can name; no sequences, no maps."""
    values = (*model.graph.input, *model.graph.output)
    return all(value.type.tensor_type.elem_type in ELEMENTS for value in values)


def verdict(case: Any, is_free: bool) -> str:
    """ "right", "refused", or "wrong" and how."""
    [(given, expected), *_] = case.data_sets
    graph = _graph(case, is_free)
    inputs = {
        spec.name: np.asarray(value) for spec, value in zip(graph.inputs, given, strict=False)
    }
    try:
        session = open_session("openvino", graph, SessionOptions())
        answers = session.run(inputs)
    except SlipwayError:
        return "refused"
    for spec, value in zip(graph.outputs, expected, strict=True):
        fault = _fault(answers[spec.name], np.asarray(value), case)
        if fault:
            return f"wrong: {spec.name} {fault}"
    return "right"


def _graph(case: Any, is_free: bool) -> Graph:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    axes = 0
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if is_free or axis.dim_value <= 0:
                axis.Clear()
                axis.dim_param = f"axis{axes}"
                axes += 1

    def specs(values: Any) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                name=value.name,
                dtype=ELEMENTS[value.type.tensor_type.elem_type],
                shape=tuple(
                    axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim
                ),
                batch_axis=None,
            )
            for value in values
        )

    graph = model.graph
    return Graph(case.name, model.SerializeToString(), {}, specs(graph.input), specs(graph.output))


def _fault(found: np.ndarray, expected: np.ndarray, case: Any) -> str:
    if found.shape != expected.shape:
        return f"has the shape {found.shape}, not {expected.shape}"
    if found.dtype.kind != "f":
        return "" if np.array_equal(found, expected) else "differs"
    rtol, atol = max(case.rtol, 1e-3), max(case.atol, 1e-3)
    numbers = found.astype(np.float64), expected.astype(np.float64)
    return "" if np.allclose(*numbers, rtol=rtol, atol=atol, equal_nan=True) else "differs"
