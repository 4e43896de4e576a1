"""`slipway optimize`: a version in, the next version out, or nothing at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle, open_bundle
from models.catalog import list_versions
from models.errors import UsageError
from models.golden import Golden
from models.manifest import GOLDEN_FILE, MODEL_FILE, ManifestDraft
from models.publish import publish
from tests.training.fake_work import FakeWork, fake_config, plan_for, prepared, silent_reporter
from training import train
from training.card import render
from training.errors import DataError
from training.export import export
from training.optimizing import command, defaults
from training.optimizing.command import Request, optimize
from training.predict import onnx_predict
from training.provenance import provenance
from training.recipes import registry
from training.recipes.registry import Recipe

STATIC = ("onnxruntime:int8-static",)


class OtherData(FakeWork):
    def data_sha256(self) -> str:
        return "1" * 64


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With one version of a model that a recipe of the tests made."""
    recipe = Recipe(
        "fake", "", "", "", 1, f"{__name__}:_config", "tests.training.fake_work:FakeWork"
    )
    monkeypatch.setitem(registry._RECIPES, "fake", recipe)
    work = prepared()
    train.seed_everything(0)
    return _published(work, tmp_path, recipe="fake")


def _config() -> Any:
    return fake_config()


def _published(work: FakeWork, folder: Path, *, recipe: str | None) -> Path:
    staged, repository = folder / "staged", folder / "models"
    staged.mkdir()
    plan = plan_for(work.lightning_module().network)
    export(plan, work.sample_inputs(2, None), staged / MODEL_FILE)
    ask = onnx_predict(staged / MODEL_FILE)
    Golden(*work.golden(ask)).save(staged / GOLDEN_FILE)
    work.write_assets(staged)
    origin = provenance(work.config, work.data_sha256(), 1.0) if recipe else None
    draft = work.draft(work.lightning_module()).model_copy(
        update={"evaluation": work.evaluate(ask), "provenance": origin}
    )
    (staged / "card.md").write_text(render(draft, {}, ()))
    publish(repository, draft, staged)
    return repository


def request(repository: Path, **changes: Any) -> Request:
    plain: dict[str, Any] = {"model": "fake", "repository": repository, "targets": STATIC}
    return Request(**plain | {"points": 0.1, "is_quick": True} | changes)


def smaller(found: Any) -> Any:
    """A model of 50 weights is not made smaller by anything: the rule on size is not at stake here."""
    return found


@pytest.fixture
def always_useful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.optimizing.search._Trial._useless", lambda *given: "")


@pytest.mark.usefixtures("always_useful")
def test_the_next_version_holds_the_variant_and_the_first_is_as_it_was(repository: Path) -> None:
    before = open_bundle(repository / "fake" / "1").manifest
    report, text = silent_reporter()
    published = optimize(request(repository), report)
    assert published is not None
    assert published.version == 2
    bundle = open_bundle(repository / "fake" / "2")
    [variant] = bundle.manifest.variants
    assert variant.file in bundle.manifest.files
    assert bundle.manifest.files[MODEL_FILE] == before.files[MODEL_FILE]
    assert bundle.manifest.provenance == before.provenance
    assert open_bundle(repository / "fake" / "1").manifest == before
    card = bundle.read_text("card.md")
    assert card.count("## Variants") == 1
    assert "onnxruntime int8-static" in card
    assert "## Where it comes from" in card
    assert "published fake version 2" in text.getvalue()


@pytest.mark.usefixtures("always_useful")
def test_a_variant_of_before_is_carried_over_unless_it_is_made_anew(repository: Path) -> None:
    optimize(request(repository), silent_reporter()[0])
    optimize(request(repository, targets=("onnxruntime:int8-dynamic",)), silent_reporter()[0])
    third = open_bundle(repository / "fake" / "3").manifest
    assert [variant.precision for variant in third.variants] == ["int8-static", "int8-dynamic"]
    optimize(request(repository), silent_reporter()[0])
    fourth = open_bundle(repository / "fake" / "4").manifest
    assert sorted(variant.precision for variant in fourth.variants) == [
        "int8-dynamic",
        "int8-static",
    ]


def test_a_budget_that_nobody_meets_publishes_nothing_and_says_so(repository: Path) -> None:
    report, text = silent_reporter()
    assert optimize(request(repository, points=-1.0), report) is None
    assert "the reference (fp32) is what is served" in text.getvalue()
    assert "version 1 stays as it is" in text.getvalue()
    assert list_versions(repository, "fake") == [1]


def test_data_that_are_not_the_ones_it_was_judged_on_are_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Recipe("fake", "", "", "", 1, f"{__name__}:_config", f"{__name__}:OtherData")
    monkeypatch.setitem(registry._RECIPES, "fake", other)
    with pytest.raises(
        DataError, match=r"sha256 000000000000…, .* 111111111111…: if it was .* --data"
    ):
        optimize(request(repository), silent_reporter()[0])
    assert list_versions(repository, "fake") == [1]


def test_settings_of_an_earlier_recipe_are_told_as_such(repository: Path) -> None:
    manifest = open_bundle(repository / "fake" / "1").manifest
    assert manifest.provenance is not None
    config = {**manifest.provenance.config, "width": 32}
    origin = manifest.provenance.model_copy(update={"config": config})
    fields = {name: getattr(manifest, name) for name in ManifestDraft.model_fields}
    draft = ManifestDraft(**fields | {"provenance": origin})
    publish(repository, draft, repository.parent / "staged")
    with pytest.raises(UsageError, match=r"any more \(width: Extra inputs .* train it anew"):
        optimize(request(repository), silent_reporter()[0])


def test_ctrl_c_leaves_the_repository_and_the_scratch_folder_as_they_were(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def interrupted(*_: object) -> None:
        assert [path.name for path in scratch.iterdir()] != []
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "search", interrupted)
    before = sorted(path.name for path in repository.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        optimize(request(repository), silent_reporter()[0])
    assert sorted(path.name for path in repository.rglob("*")) == before
    assert list(scratch.iterdir()) == []


def test_a_target_that_cannot_be_measured_here_is_refused_with_the_reason(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults, "why_not", lambda target: "there is no such processor")
    with pytest.raises(UsageError, match=r"int8-static cannot be measured here: there is no such"):
        optimize(request(repository), silent_reporter()[0])


class TestImported:
    """A bundle whose data nobody has."""

    @pytest.fixture
    def imported(self, tmp_path: Path) -> Path:
        train.seed_everything(0)
        return _published(prepared(), tmp_path, recipe=None)

    def test_other_weights_need_something_to_judge_them_by(self, imported: Path) -> None:
        with pytest.raises(UsageError, match="without --data nothing says what a change"):
            optimize(request(imported), silent_reporter()[0])

    def test_the_same_weights_are_compared_by_direction(self, imported: Path) -> None:
        report, text = silent_reporter()
        optimize(request(imported, targets=("onnxruntime:fp32-optimized",)), report)
        assert "cosine" in text.getvalue()

    def test_rows_to_compare_on_may_be_given(self, imported: Path, tmp_path: Path) -> None:
        rows = tmp_path / "rows.npz"
        np.savez(rows, point=np.ones((9, 4), np.float32))
        targets = ("onnxruntime:fp32-optimized",)
        optimize(request(imported, targets=targets, calibration=rows), silent_reporter()[0])

    def test_no_data_can_judge_a_task_of_plain_tensors(
        self, imported: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match="no data can judge a model of task tensor"):
            optimize(request(imported, data=tmp_path), silent_reporter()[0])


def test_calibration_rows_are_for_imported_models(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was trained by recipe 'fake', whose validation rows"):
        optimize(request(repository, calibration=tmp_path / "rows.npz"), silent_reporter()[0])


def test_a_failed_gate_is_not_worth_optimizing(repository: Path) -> None:
    bundle: Bundle = open_bundle(repository / "fake" / "1")
    gate = {"name": "parity", "limit": 1, "measured": 2, "comparison": "<=", "passed": False}
    fields = {name: getattr(bundle.manifest, name) for name in ManifestDraft.model_fields}
    draft = ManifestDraft.model_validate(fields | {"gates": (gate,)})
    staged = repository.parent / "staged"
    publish(repository, draft, staged, allow_failed_gates=True)
    with pytest.raises(UsageError, match="failed a gate"):
        optimize(request(repository), silent_reporter()[0])
