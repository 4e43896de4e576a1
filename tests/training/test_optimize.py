"""Variants are kept for a measured reason and dropped for a stated one."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from models.golden import Golden
from models.manifest import MODEL_FILE, Evaluation, Tolerance
from tests.training.fake_work import FakeModule, FakeWork, prepared, silent_reporter
from training import optimize
from training.export import export
from training.predict import onnx_predict, torch_predict
from training.train import CPU
from training.work import Array, Arrays, ExportPlan, Predict


def exported(work: FakeWork, folder: Path) -> tuple[ExportPlan, tuple[Evaluation, ...]]:
    module = work.lightning_module()
    assert isinstance(module, FakeModule)
    plan = work.export_plan(module)
    export(plan, work.sample_inputs(2, None), folder / MODEL_FILE)
    return plan, work.evaluate(torch_predict(plan, CPU))


def test_kept_variants_are_files_and_dropped_ones_are_gone(tmp_path: Path) -> None:
    work = prepared()
    report, text = silent_reporter()
    plan, reference = exported(work, tmp_path)
    kept = optimize.optimize(work, plan, tmp_path, reference, report)
    files = {path.name for path in (tmp_path / "variants").iterdir()}
    assert {f"{variant.precision}.onnx" for variant in kept} == files
    for precision in work.quantization_candidates():
        assert precision in text.getvalue()
    assert text.getvalue().count("kept") + text.getvalue().count("dropped") == 2


def test_a_variant_that_loses_accuracy_is_dropped_with_the_numbers(tmp_path: Path) -> None:
    class Forgetful(FakeWork):
        """Its variants answer the opposite."""

        def onnx_predict(self, graph: Path) -> Predict | None:
            def opposite(inputs: Mapping[str, Array]) -> Arrays:
                right = inputs["point"].sum(axis=1) > 0
                swapped = right if graph.name == MODEL_FILE else ~right
                return {"logits": np.eye(2, dtype=np.float32)[swapped.astype(int)]}

            return opposite

    work = Forgetful(prepared().config, None)
    work.prepare()
    report, text = silent_reporter()
    plan, _ = exported(work, tmp_path)
    ask = work.onnx_predict(tmp_path / MODEL_FILE)
    assert ask is not None
    reference = work.evaluate(ask)
    assert optimize.optimize(work, plan, tmp_path, reference, report) == ()
    assert "loses 1.0000 of accuracy, more than 0.005" in text.getvalue()
    assert list((tmp_path / "variants").iterdir()) == []


def test_a_candidate_that_cannot_be_made_is_a_line_and_not_a_crash(tmp_path: Path) -> None:
    work = prepared()
    work.calibration_inputs = list  # type: ignore[method-assign]
    report, text = silent_reporter()
    plan, reference = exported(work, tmp_path)
    optimize.optimize(work, plan, tmp_path, reference, report)
    line = next(line for line in text.getvalue().splitlines() if "int8-static" in line)
    assert "dropped" in line


@pytest.mark.parametrize(
    ("delta", "higher", "reason"),
    [(-0.1, True, "loses 0.1"), (0.1, True, ""), (0.1, False, "loses 0.1"), (-0.1, False, "")],
)
def test_losing_follows_the_direction_of_the_metric(
    delta: float, higher: bool, reason: str
) -> None:
    reference = Evaluation(
        dataset="d", split="s", metric="m", value=1, higher_is_better=higher, samples=1
    )
    given = reference.model_copy(update={"value": 1 + delta})
    answer = prepared().variant_objection("int8", (reference,), (given,))
    assert answer.startswith(reason) if reason else answer == ""


def test_a_variant_without_any_gain_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = prepared()
    report, text = silent_reporter()
    plan, reference = exported(work, tmp_path)

    def same(_: str, source: Path, target: Path, rows: object) -> None:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(optimize, "quantize", same)
    monkeypatch.setattr(optimize, "_latency", lambda *given: [{1: 1.0} for _ in given[2]])
    assert optimize.optimize(work, plan, tmp_path, reference, report) == ()
    assert "neither smaller nor faster" in text.getvalue()


def test_variants_that_can_be_served_have_an_exam_of_their_own(tmp_path: Path) -> None:
    class Served(FakeWork):
        serves_variants = True

    work = Served(prepared().config, None)
    work.prepare()
    plan, reference = exported(work, tmp_path)
    for variant in optimize.optimize(work, plan, tmp_path, reference, silent_reporter()[0]):
        golden = Golden.from_bytes((tmp_path / str(variant.golden_file)).read_bytes())
        ask = onnx_predict(tmp_path / str(variant.file))
        assert golden.compare(ask(golden.inputs), Tolerance()) == 0


def test_the_hardware_names_its_cores() -> None:
    assert optimize.hardware().endswith("cores")
