"""The batch axis is what a trial shows, not what a name suggests; the rest is what the file says."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.importing.derive import Derived, check, derive
from service.importing.errors import ImportRefused
from service.importing.importer import stage
from service.importing.trial import Trial
from tests.service.importing import foreign


def derived(
    made: onnx.ModelProto, tmp_path: Path, sample: dict[str, np.ndarray] | None = None
) -> Derived:
    facts = stage(foreign.save(made, tmp_path / "in" / "m.onnx"), tmp_path)
    return derive(facts, Trial(tmp_path), sample)


def shapes(found: Derived) -> dict[str, tuple[int | str, ...]]:
    return {spec.name: spec.shape for spec in (*found.inputs, *found.outputs)}


def test_a_free_first_axis_is_the_batch_when_rows_are_apart(tmp_path: Path) -> None:
    found = derived(foreign.linear(), tmp_path)
    assert shapes(found) == {"x": ("N", 4), "y": ("N", 3)}
    assert [spec.batch_axis for spec in (*found.inputs, *found.outputs)] == [0, 0]
    assert (found.max_batch_size, found.allowed_batch_sizes) == (32, ())
    assert found.golden is not None
    assert found.golden.inputs["x"].shape == (3, 4)
    assert found.notes == []


def test_axes_without_names_or_with_odd_ones_get_names_that_a_manifest_takes(
    tmp_path: Path,
) -> None:
    found = derived(foreign.unary("Relu", (None, "2*n + 1"), (None, None)), tmp_path)
    assert shapes(found)["x"] == ("x_0", "axis_2_n_1")
    assert found.inputs[0].batch_axis == 0


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (foreign.unary("Softmax", axis=0), "depends on the other rows"),
        (foreign.unary("LpNormalization", axis=0), "other rows"),
        (foreign.unary("Transpose", perm=[1, 0]), "a row for each row"),
        (foreign.unary("ReduceMean", keepdims=0, out=()), "a row for each row"),
        (foreign.unary("Flatten", axis=0, out=(1, "M")), "a row for each row"),
    ],
    ids=["softmax over rows", "norm over rows", "transposed", "reduced", "flattened"],
)  # fmt: skip
def test_rows_that_influence_each_other_are_never_batched(
    made: onnx.ModelProto, why: str, tmp_path: Path
) -> None:
    found = derived(made, tmp_path)
    assert [spec.batch_axis for spec in found.inputs] == [None]
    assert found.max_batch_size == 1
    assert why in found.notes[0]
    assert found.golden is not None, "it is examined all the same"


def test_inputs_of_different_first_axes_have_no_batch(tmp_path: Path) -> None:
    made = foreign.model(
        [helper.make_node("MatMul", ["a", "b"], ["y"])],
        [foreign.value("a", 1, ["N", 4]), foreign.value("b", 1, [4, 2])],
        [foreign.value("y", 1, ["N", 2])],
    )
    found = derived(made, tmp_path)
    assert [spec.batch_axis for spec in found.inputs] == [None, None]
    assert "first axes differ" in found.notes[0]


@pytest.mark.parametrize(("rows", "allowed"), [(1, (1,)), (4, (4,))])
def test_a_fixed_first_axis_is_always_filled(
    rows: int, allowed: tuple[int, ...], tmp_path: Path
) -> None:
    found = derived(foreign.linear((rows, 4), out=(rows, 3)), tmp_path)
    assert found.inputs[0].batch_axis == 0
    assert (found.max_batch_size, found.allowed_batch_sizes) == (rows, allowed)


def test_answers_that_change_from_run_to_run_are_no_exam(tmp_path: Path) -> None:
    found = derived(foreign.unary("RandomNormalLike"), tmp_path)
    assert found.golden is None
    assert found.inputs[0].batch_axis is None
    assert "differ from run to run" in found.notes[0]


def test_ids_are_tried_small_because_tables_end_somewhere(tmp_path: Path) -> None:
    made = foreign.model(
        [helper.make_node("Gather", ["table", "id"], ["y"])],
        [foreign.value("id", TensorProto.INT64, ["N", "length"])],
        [foreign.value("y", 1, None)],
        {"table": np.ones((2, 5), np.float32)},
    )
    found = derived(made, tmp_path)
    assert shapes(found)["id"] == ("N", "length")
    assert shapes(found)["y"][0] == "N"
    assert shapes(found)["y"][2] == 5


def test_sizes_are_tried_until_one_runs(tmp_path: Path) -> None:
    made = foreign.model(
        [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[20, 20])],
        [foreign.value("x", 1, ["N", 1, "h", "w"])],
        [foreign.value("y", 1, None)],
    )
    assert derived(made, tmp_path).inputs[0].shape == ("N", 1, "h", "w")


def needs(limit: int) -> onnx.ModelProto:
    """Takes exactly `limit` columns, and does not say so."""
    return foreign.linear(("N", "columns"), out=None, inner=limit)


def test_a_graph_that_takes_no_made_up_values_asks_for_a_sample_and_takes_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(ImportRefused, match="--sample"):
        derived(needs(77), tmp_path)
    found = derived(needs(77), tmp_path, {"x": np.ones((3, 77), np.float32)})
    assert found.inputs[0].batch_axis == 0
    with pytest.raises(ImportRefused, match="exactly these arrays: x"):
        derived(needs(77), tmp_path, {"z": np.ones((3, 77), np.float32)})


def test_weights_and_defaults_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    made = foreign.linear()
    made.graph.input.append(foreign.value("w", 1, [4, 3]))
    assert [spec.name for spec in derived(made, tmp_path).inputs] == ["x"]


def refused() -> list[tuple[onnx.ModelProto, str]]:
    sequence = helper.make_tensor_sequence_value_info("x", 1, None)
    custom = foreign.unary("Relu")
    custom.graph.node[0].domain = "their.ops"
    training = foreign.unary("Relu")
    training.training_info.add()
    node = helper.make_node("Relu", ["x"], ["y"])
    y = foreign.value("y", 1, ["N"])
    zipmap = helper.make_tensor_sequence_value_info("y", 1, None)
    return [
        (custom, "domain 'their.ops' \\(Relu\\)"),
        (training, "training graph"),
        (foreign.model([node], [], [y], {"x": np.ones(1, np.float32)}), "no input"),
        (foreign.model([node], [foreign.value("x", 1, ["N"])], []), "no output"),
        (foreign.model([node], [sequence], [y]), "'x' is a sequence"),
        (foreign.model([node], [foreign.value("x", 1, None)], [y]), "no shape"),
        (foreign.model([node], [foreign.value("x", 1, ["N", 0])], [y]), "size 0"),
        (
            foreign.model([node], [foreign.value("x", TensorProto.COMPLEX64, ["N"])], [y]),
            "element type",
        ),
        (foreign.model([node], [foreign.value("x", TensorProto.BFLOAT16, ["N"])], [y]), "bfloat16"),
        (foreign.model([node], [foreign.value("x", 1, ["N"])], [zipmap]), "zipmap=False"),
    ]


@pytest.mark.parametrize(("made", "why"), refused())
def test_what_cannot_be_served_is_refused_with_the_reason(
    made: onnx.ModelProto, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ImportRefused, match=why):
        derived(made, tmp_path)


def test_what_the_runtime_does_not_open_is_refused_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="ONNX Runtime does not open it"):
        derived(foreign.unary("NoSuchOperator"), tmp_path)


def test_check_alone_opens_nothing() -> None:
    from service.importing.graph import read_facts

    check(read_facts(memoryview(foreign.unary("NoSuchOperator").SerializeToString())))
