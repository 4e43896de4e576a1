"""The whole path in small: data → bundle, and nothing at all where a stage fails."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle, open_bundle
from models.errors import UsageError
from models.golden import Golden
from models.manifest import GOLDEN_FILE, MODEL_FILE
from tests.training.fake_work import silent_reporter
from training.errors import DataError, GateFailed
from training.pipeline import Request, configure, resume_command, run
from training.predict import onnx_predict
from training.runs import RunFolder

QUICK = ("epochs=2", "residual.width=8", "gates.accuracy_floor=none", "gates.beats=")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Request, str]:
    root = tmp_path_factory.mktemp("pipeline")
    settings = (*QUICK, "folds=2")
    request = Request("digits", settings=settings, repository=root / "models", runs=root / "runs")
    report, text = silent_reporter()
    return run(request, report), request, text.getvalue()


def test_the_bundle_is_whole_and_says_where_it_comes_from(
    published: tuple[Bundle, Request, str],
) -> None:
    bundle = open_bundle(published[0].path)
    manifest = bundle.manifest
    assert {MODEL_FILE, GOLDEN_FILE, "labels.txt", "card.md"} <= manifest.files.keys()
    pictures = {"plots/loss.png", "plots/confusion.png", "plots/samples.png"}
    assert pictures <= manifest.files.keys()
    assert manifest.evaluation[0].metric == "accuracy"
    assert manifest.evaluation[0].interval is not None
    assert [gate.name for gate in manifest.gates] == ["parity"]
    assert manifest.provenance is not None
    assert manifest.provenance.config["residual"]["width"] == 8
    assert len(manifest.provenance.data_sha256) == 64


def test_the_golden_exam_is_real_and_passed_by_the_published_graph(
    published: tuple[Bundle, Request, str],
) -> None:
    bundle = published[0]
    golden = Golden.from_bytes(bundle.read(GOLDEN_FILE))
    assert len(golden.inputs["image"]) >= 3
    assert np.ptp(golden.inputs["image"]) > 0
    answers = onnx_predict(bundle.path / MODEL_FILE)(golden.inputs)
    golden.compare(answers, bundle.manifest.tolerance)


def test_the_card_holds_the_manifests_figures(published: tuple[Bundle, Request, str]) -> None:
    bundle = published[0]
    card = bundle.read_text("card.md")
    assert f"{bundle.manifest.evaluation[0].value:.4f}" in card
    assert "plots/loss.png" in card
    assert "residual.width = 8" in card
    for section in ("Classes", "Confusions", "Calibration"):
        assert f"## {section}" in card
    assert "after, as served" in card


def test_every_stage_is_announced_in_order_and_the_end_says_what_to_do_next(
    published: tuple[Bundle, Request, str],
) -> None:
    lines = published[2].splitlines()
    heads = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    stages = [
        "prepare",
        "train",
        "evaluate",
        "cross-validate",
        "export",
        "verify",
        "optimize",
        "publish",
    ]
    assert heads == stages
    assert "slipway predict digits" in lines[-2]
    assert "slipway serve" in lines[-1]


def test_folds_are_judged_after_the_model_and_shown_in_its_card(
    published: tuple[Bundle, Request, str],
) -> None:
    bundle, _, text = published
    metrics = [row.metric for row in bundle.manifest.evaluation]
    assert metrics[0] == "accuracy"
    assert metrics[-2:] == ["accuracy-mean-of-folds", "accuracy-deviation-of-folds"]
    assert 0 <= bundle.manifest.evaluation[-2].value <= 1
    assert "accuracy-deviation-of-folds" in bundle.read_text("card.md")
    assert "mean ± standard deviation of 2 folds" in text


def test_a_failed_gate_publishes_nothing(tmp_path: Path) -> None:
    request = Request(
        "digits",
        settings=("epochs=1", "residual.width=4", "gates.accuracy_floor=0.999"),
        repository=tmp_path / "models",
        runs=tmp_path / "runs",
    )
    with pytest.raises(GateFailed):
        run(request, silent_reporter()[0])
    assert not (tmp_path / "models").exists()


def test_a_finished_run_resumes_into_the_next_version(
    published: tuple[Bundle, Request, str],
) -> None:
    bundle, request, _ = published
    again = run(
        Request("digits", repository=request.repository, runs=request.runs, resume=True),
        silent_reporter()[0],
    )
    assert again.version == bundle.version + 1
    assert again.read(MODEL_FILE) == bundle.read(MODEL_FILE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("name=other",), "nothing to resume"),
        (("residual.width=16",), "cannot be changed by --resume"),
    ],
)
def test_resume_refuses_what_would_be_another_run(
    published: tuple[Bundle, Request, str], settings: tuple[str, ...], message: str
) -> None:
    request = Request("digits", settings=settings, runs=published[1].runs, resume=True)
    with pytest.raises(UsageError, match=message):
        configure(request)


def test_resume_reads_the_runs_own_data_and_no_other(
    published: tuple[Bundle, Request, str], tmp_path: Path
) -> None:
    request = Request("digits", tmp_path, runs=published[1].runs, resume=True)
    with pytest.raises(UsageError, match="start a new run for other data"):
        configure(request)


def test_the_way_to_go_on_names_every_place_that_is_not_the_usual_one() -> None:
    plain = resume_command(Request("digits"), RunFolder(Path("runs"), "mine"))
    assert plain == "slipway train digits --name mine --resume"
    request = Request("digits", repository=Path("my models"), runs=Path("elsewhere"))
    assert resume_command(request, RunFolder(request.runs, "mine")) == (
        f"{plain} --repository 'my models' --runs elsewhere"
    )


def test_resume_follows_the_run_and_not_another_recipe(
    published: tuple[Bundle, Request, str],
) -> None:
    request = Request("digits-vae", settings=("name=digits",), runs=published[1].runs, resume=True)
    with pytest.raises(UsageError, match="follows recipe 'digits'"):
        configure(request)


def test_data_that_changed_since_are_not_resumed_on(
    published: tuple[Bundle, Request, str],
) -> None:
    record = published[1].runs / "digits" / "run.json"
    saved = json.loads(record.read_text())
    record.write_text(json.dumps(saved | {"data_sha256": "0" * 64}))
    try:
        with pytest.raises(DataError, match="have changed"):
            run(Request("digits", runs=published[1].runs, resume=True), silent_reporter()[0])
    finally:
        record.write_text(json.dumps(saved))


@pytest.mark.parametrize("place", ["repository", "runs"])
def test_a_place_that_is_a_file_is_refused_before_the_work(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    places = {"repository": tmp_path / "models", "runs": tmp_path / "runs"}
    request = Request("digits", **(places | {place: tmp_path / "file"}))
    with pytest.raises(UsageError, match="is not a folder"):
        run(request, silent_reporter()[0])


def test_missing_data_leave_nothing_behind(tmp_path: Path) -> None:
    request = Request(
        "digits", tmp_path / "none", repository=tmp_path / "models", runs=tmp_path / "runs"
    )
    with pytest.raises(DataError, match="no such file or folder"):
        run(request, silent_reporter()[0])
    assert list(tmp_path.iterdir()) == []
