"""The stage of a training run: the quick variants, by the budget of its configuration."""

from pathlib import Path

import pytest

from models.golden import Golden
from models.manifest import MODEL_FILE, Evaluation, Tolerance
from tests.training.fake_work import FakeModule, FakeWork, prepared, silent_reporter
from training import optimize
from training.config import GateConfig
from training.export import export
from training.predict import onnx_predict, torch_predict
from training.train import CPU
from training.work import ExportPlan


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
    files = {f"variants/{path.name}" for path in (tmp_path / "variants").iterdir()}
    assert {variant.file for variant in kept if variant.file} == files
    table = [line for line in text.getvalue().splitlines() if ":" in line]
    for precision in work.quantization_candidates():
        [row] = [line for line in table if line.strip().startswith(f"onnxruntime:{precision} ")]
        assert ("kept" in row) != ("dropped: " in row)


def test_a_kind_of_work_without_candidates_says_so(tmp_path: Path) -> None:
    class Fragile(FakeWork):
        takes_runtime_settings = False

        def quantization_candidates(self) -> tuple[str, ...]:
            return ()

    work = Fragile(prepared().config, None)
    work.prepare()
    report, text = silent_reporter()
    plan, reference = exported(work, tmp_path)
    assert optimize.optimize(work, plan, tmp_path, reference, report) == ()
    assert "no variants are tried" in text.getvalue()


def test_a_candidate_that_cannot_be_made_is_a_line_and_not_a_crash(tmp_path: Path) -> None:
    work = prepared()
    work.calibration_inputs = list  # type: ignore[method-assign]
    report, text = silent_reporter()
    plan, reference = exported(work, tmp_path)
    optimize.optimize(work, plan, tmp_path, reference, report)
    line = next(line for line in text.getvalue().splitlines() if "int8-static" in line)
    assert "dropped: there are no rows to calibrate with" in line


def test_variants_with_an_engine_of_their_own_have_an_exam_of_their_own(tmp_path: Path) -> None:
    class Served(FakeWork):
        serves_variants = True

    work = Served(prepared().config, None)
    work.prepare()
    plan, reference = exported(work, tmp_path)
    for variant in optimize.optimize(work, plan, tmp_path, reference, silent_reporter()[0]):
        if variant.file is None:
            continue
        assert variant.tolerance is None
        golden = Golden.from_bytes((tmp_path / str(variant.golden_file)).read_bytes())
        ask = onnx_predict(tmp_path / str(variant.file))
        assert golden.compare(ask(golden.inputs), Tolerance()) == 0


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("accuracy_budget", "points", 0.1),
        ("accuracy_budget_relative", "relative", 0.2),
        ("cosine_budget", "cosine", 0.9),
    ],
)
def test_the_budget_is_the_gates(setting: str, field: str, value: float) -> None:
    given = optimize.budget_of(GateConfig.model_validate({setting: value}))
    assert getattr(given, field) == value
