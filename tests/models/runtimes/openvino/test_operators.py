"""What OpenVINO would answer wrongly is refused by name, and nothing beside it."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.datatypes import DataType
from models.runtimes import open_session
from models.runtimes.base import GraphRefused, SessionOptions
from tests.models.runtimes.test_contract import graph_of
from tests.service.graphs import Tiny, spec

pytest.importorskip("openvino")
from models.runtimes.openvino import session as session_module
from models.runtimes.openvino.operators import check_operators

UNITS, WIDTH = 4, 3
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(operator: str, lengths: str = "") -> Tiny:
    """x [tokens, batch, WIDTH] → y [tokens, 1, batch, UNITS]; `lengths`: "", "constant" or "input"."""
    random = np.random.default_rng(0)
    size = GATES[operator] * UNITS
    weights = {
        "w": random.standard_normal((1, size, WIDTH)).astype(np.float32),
        "r": random.standard_normal((1, size, UNITS)).astype(np.float32),
        "constant": np.array([5, 3], np.int32),
    }
    more: dict[str, Any] = {"linear_before_reset": 1} if operator == "GRU" else {}
    node = helper.make_node(
        operator, ["x", "w", "r", "", lengths], ["y"], hidden_size=UNITS, **more
    )
    inputs = [spec("x", DataType.FLOAT, ["tokens", "batch", WIDTH], batch_axis=1)]
    if lengths == "input":
        inputs.append(spec("input", DataType.INT32, ["batch"]))
    output = spec("y", DataType.FLOAT, ["tokens", 1, "batch", UNITS], batch_axis=2)
    return Tiny([node], inputs, [output], weights)


ROWS = np.random.default_rng(1).standard_normal((5, 2, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("operator", GATES)
def test_without_lengths_they_are_right(operator: str) -> None:
    tiny = recurrent(operator)
    answer = open_session("openvino", graph_of(tiny), SessionOptions()).run({"x": ROWS})["y"]
    np.testing.assert_allclose(answer, tiny.run({"x": ROWS})["y"], atol=1e-5)


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("lengths", ["constant", "input"])
def test_with_lengths_they_are_refused(operator: str, lengths: str) -> None:
    with pytest.raises(GraphRefused, match=f"{operator} is given lengths"):
        open_session("openvino", graph_of(recurrent(operator, lengths)), SessionOptions())


@pytest.mark.parametrize("operator", GATES)
def test_let_through_they_would_be_wrong(operator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason for the refusal; should this fail, OpenVINO has been mended and the check can go."""
    monkeypatch.setattr(session_module, "check_operators", lambda _: None)
    tiny = recurrent(operator, "constant")
    answer = open_session("openvino", graph_of(tiny), SessionOptions()).run({"x": ROWS})["y"]
    assert np.abs(answer - tiny.run({"x": ROWS})["y"]).max() > 0.1


def test_they_are_found_in_subgraphs_and_functions() -> None:
    node = helper.make_node("LSTM", ["x", "w", "r", "", "lengths"], ["y"], hidden_size=2)
    body = helper.make_graph([node], "body", [], [])
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    outer = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    inside = helper.make_model(helper.make_graph([outer], "g", [], [value]))
    function = helper.make_function(
        "my", "F", ["x", "w", "r", "lengths"], ["y"], [node], [helper.make_opsetid("", 18)]
    )
    called = helper.make_model(helper.make_graph([], "g", [], []), functions=[function])
    for model in (inside, called):
        with pytest.raises(GraphRefused, match="LSTM"):
            check_operators(model.SerializeToString())


def test_names_alone_mean_nothing() -> None:
    made = onnx.load_from_string(recurrent("LSTM").data)
    made.graph.node.append(helper.make_node("Identity", ["x"], ["GRU"], name="RNN with lengths"))
    check_operators(made.SerializeToString())


def picture(operator: str, **attributes: Any) -> Tiny:
    """x [batch, 1, 9, 9] → one operator."""
    more = ["", "", "sizes"] if operator == "Resize" else []
    node = helper.make_node(operator, ["x", *more], ["y"], **attributes)
    return Tiny(
        [node],
        [spec("x", DataType.FLOAT, ["batch", 1, 9, 9])],
        [spec("y", DataType.FLOAT, ["batch", 1, "height", "width"])],
        {"sizes": np.array([1, 1, 5, 5])},
    )


@pytest.mark.parametrize(
    ("operator", "attributes", "why"),
    [
        ("Resize", {"mode": "linear", "antialias": 1}, "antialias"),
        ("Resize", {"mode": "cubic", "exclude_outside": 1}, "exclude_outside"),
        ("Resize", {"keep_aspect_ratio_policy": "not_larger"}, "aspect ratio"),
        ("MaxPool", {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1}, "window too many"),
        (
            "AveragePool",
            {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
            "window too many",
        ),
        ("SpaceToDepth", {"blocksize": 3, "mode": "CRD"}, "another order"),
        ("BitShift", {"direction": "RIGHT"}, "shifts their sign"),
        ("RoiAlign", {"mode": "max"}, "maxima"),
        ("Attention", {"left_window_size": 2}, "window"),
        ("DFT", {"onesided": 1}, "one-sided"),
        ("GRU", {"hidden_size": 2, "layout": 1}, "layout 1"),
    ],
)
def test_an_operator_is_refused_for_what_is_asked_of_it(
    operator: str, attributes: dict[str, Any], why: str
) -> None:
    with pytest.raises(GraphRefused, match=f"{operator}.*{why}.*onnxruntime"):
        open_session("openvino", graph_of(picture(operator, **attributes)), SessionOptions())


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Resize", {"mode": "linear"}),
        ("Resize", {"mode": "nearest", "keep_aspect_ratio_policy": "stretch", "antialias": 0}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
        ("MaxPool", {"kernel_shape": [1, 1], "strides": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1}),
    ],
)
def test_what_it_does_right_is_served(operator: str, attributes: dict[str, Any]) -> None:
    tiny = picture(operator, **attributes)
    rows = np.random.default_rng(0).standard_normal((1, 1, 9, 9)).astype(np.float32)
    answer = open_session("openvino", graph_of(tiny), SessionOptions()).run({"x": rows})["y"]
    np.testing.assert_allclose(answer, tiny.run({"x": rows})["y"], atol=1e-5)
