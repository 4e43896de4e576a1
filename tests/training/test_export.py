"""The exported graph has the planned names, types and free axes, and nobody's paths."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from tests.training.fake_work import FEATURES, plan_for, prepared
from training.errors import ExportFailed
from training.export import check_contract, example_size, export
from training.predict import onnx_predict
from training.work import ExportPlan


class FixedBatch(nn.Module):
    """Uses the example's batch size as a constant: the exporter must not get away with it."""

    def forward(self, point: Tensor) -> Tensor:
        count = int(point.shape[0])
        return point[:, :2].reshape(count, 2) if count == 2 else torch.zeros(2, 2)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(FEATURES, 2)


def test_the_graph_has_the_planned_contract_and_runs_at_any_batch_size(tmp_path: Path) -> None:
    plan = plan_for(linear())
    export(plan, prepared().sample_inputs(2, None), tmp_path / "model.onnx")
    ask = onnx_predict(tmp_path / "model.onnx")
    for batch in (1, 3, 17):
        rows = np.ones((batch, FEATURES), dtype=np.float32)
        assert ask({"point": rows})["logits"].shape == (batch, 2)


def test_the_graph_holds_no_path_of_the_machine_it_was_made_on(tmp_path: Path) -> None:
    export(plan_for(linear()), prepared().sample_inputs(2, None), tmp_path / "model.onnx")
    content = (tmp_path / "model.onnx").read_bytes()
    assert b"/site-packages" not in content
    assert str(Path(__file__).parent).encode() not in content


def test_an_axis_fixed_to_the_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed):
        export(plan_for(FixedBatch()), prepared().sample_inputs(2, None), tmp_path / "model.onnx")


def test_a_graph_with_a_constant_where_an_axis_was_promised_is_refused(tmp_path: Path) -> None:
    plan = plan_for(linear())
    path = tmp_path / "model.onnx"
    export(plan, prepared().sample_inputs(2, None), path)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save_model(model, path)
    with pytest.raises(ExportFailed, match="other inputs than planned"):
        check_contract(path, plan)


def test_a_file_that_is_no_graph_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(ExportFailed, match="ONNX Runtime refuses") as caught:
        check_contract(tmp_path / "model.onnx", plan_for(linear()))
    assert "\n" not in caught.value.message


def test_the_example_has_company_on_the_batch_axis() -> None:
    assert example_size(plan_for(linear())) == (2, None)
    assert example_size(plan_for(linear(), lengths=(3, 9, 5))) == (2, 9)


def test_last_changes_to_the_graph_are_made_before_it_is_checked(tmp_path: Path) -> None:
    seen: list[Path] = []
    plan = plan_for(linear(), finish=seen.append)
    export(plan, prepared().sample_inputs(2, None), tmp_path / "model.onnx")
    assert seen == [tmp_path / "model.onnx"]


def test_an_output_may_be_named_like_one_of_torchs_operators(tmp_path: Path) -> None:
    class Embedder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(4, 2)

        def forward(self, point: Tensor) -> Tensor:
            return self.table(point.argmax(1)) * 2

    plan = plan_for(Embedder())
    named = plan.outputs[0].model_copy(update={"name": "embedding"})
    plan = ExportPlan(plan.module, plan.inputs, (named,))
    export(plan, prepared().sample_inputs(2, None), tmp_path / "model.onnx")
    rows = np.eye(FEATURES, dtype=np.float32)[:3]
    expected = plan.module(torch.from_numpy(rows)).detach().numpy()
    given = onnx_predict(tmp_path / "model.onnx")({"point": rows})["embedding"]
    np.testing.assert_allclose(given, expected, atol=1e-6)
