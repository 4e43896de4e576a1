import dataclasses
import errno
import json
import logging
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.bundle import Bundle
from models.catalog import find_bundle, list_versions, scan
from service.lifecycle.repository import Repository
from service.selection.choice import Choice
from service.tuning import plan as plan_module
from service.tuning.plan import (
    MeasuredLoad,
    PlanNotWritten,
    TuningPlan,
    bundle_sha256,
    is_plan_file,
    plan_file,
    read_plan,
    write_plan,
)
from tests.service.bundles import digits_bundle

HERE = "fingerprint of this machine"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return digits_bundle(tmp_path / "repository")


def plan_of(bundle: Bundle, **changes: object) -> TuningPlan:
    members: dict[str, object] = {
        "model": bundle.name,
        "version": bundle.version,
        "bundle_sha256": bundle_sha256(bundle),
        "hardware": HERE,
        "choice": Choice(runtime="openvino", precision="bf16", compute="bf16", reason="fastest"),
        "workers": 1,
        "threads": 2,
        "max_batch_size": 4,
        "max_queue_delay_microseconds": 1000,
        "length_buckets": (16, 32),
        "objective": "p99_ms=50",
        "measured": (MeasuredLoad(concurrency=8, requests_per_s=120.5, p99_ms=48.0),),
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    return TuningPlan.model_validate(members | changes)


def test_a_written_plan_is_read_back_as_it_was(bundle: Bundle) -> None:
    written = plan_of(bundle)
    assert write_plan(bundle, written) == bundle.path.parent / "tuning-1.json"
    assert read_plan(bundle, HERE) == written


def test_without_a_file_there_is_no_plan_and_no_word(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_plan(bundle, HERE) is None
    assert not caplog.records


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda text: text[: len(text) // 2], "EOF"),
        (lambda text: "", "EOF"),
        (lambda text: text.replace('"workers": 1', '"workers": 0'), "workers"),
        (lambda text: text.replace('"openvino"', "7"), "choice"),
        (lambda text: text.replace('"onnx', '"onnx').replace("bf16", "bf17"), "compute"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "it belongs to digits/2"),
        (lambda text: text.replace("fingerprint of this", "that other"), "on another machine"),
        (
            lambda text: text.replace("model.onnx", "variants/gone.onnx"),
            "has no variants/gone.onnx",
        ),
        (lambda text: text.replace("[\n    16,\n    32", "[\n    32,\n    16"), "ascend"),
        (lambda text: " " * (1 << 20) + text, "bytes, at most"),
    ],
)
def test_a_plan_that_cannot_be_trusted_is_ignored_with_one_warning(
    bundle: Bundle, caplog: pytest.LogCaptureFixture, spoil: object, why: str
) -> None:
    file = write_plan(bundle, plan_of(bundle))
    assert callable(spoil)
    file.write_text(spoil(file.read_text()))
    assert read_plan(bundle, HERE) is None
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert why in record.getMessage()
    assert "slipway tune digits" in record.getMessage()


def test_a_plan_of_a_version_that_was_published_anew_is_ignored(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    write_plan(bundle, plan_of(bundle))
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    manifest["description"] = "another"
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    assert read_plan(bundle, HERE) is None
    assert "published anew" in caplog.text


def test_a_plan_is_a_plain_file_or_none(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    file = write_plan(bundle, plan_of(bundle))
    elsewhere = file.rename(bundle.path.parent.parent / "elsewhere.json")
    file.symlink_to(elsewhere)
    assert read_plan(bundle, HERE) is None
    assert "tuning-1.json is ignored" in caplog.text


def test_without_a_name_of_the_machine_it_is_this_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "fingerprint", lambda: HERE)
    write_plan(bundle, plan_of(bundle))
    assert read_plan(bundle) is not None


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_plan_that_cannot_be_written_leaves_the_one_before(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = plan_of(bundle, workers=2)
    write_plan(bundle, before)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, step, full)
        with pytest.raises(PlanNotWritten, match="No space left"):
            write_plan(bundle, plan_of(bundle))
    assert read_plan(bundle, HERE) == before
    assert sorted(p.name for p in bundle.path.parent.iterdir() if "tuning" in p.name) == [
        "tuning-1.json"
    ]


@pytest.mark.parametrize("buckets", [(0, 8), (8, 8), (16, 8)])
def test_buckets_are_positive_and_ascend(bundle: Bundle, buckets: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="ascend"):
        plan_of(bundle, length_buckets=buckets)


def test_reading_a_repository_passes_over_a_plan_without_a_word(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    repository = bundle.path.parent.parent
    stamps = Repository(repository).look_at("digits")
    write_plan(bundle, plan_of(bundle))
    assert Repository(repository).look_at("digits") == stamps
    assert list_versions(repository, "digits") == [1]
    assert scan(repository).rejected == []
    assert find_bundle(repository, "digits") == bundle
    assert not caplog.records


def test_other_odd_names_are_still_told(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    (bundle.path.parent / "tuning-01.json").write_text("{}")
    Repository(bundle.path.parent.parent).look_at("digits")
    assert "'tuning-01.json' ignored" in caplog.text


def test_publishing_the_next_version_leaves_the_plan_where_it_is(
    bundle: Bundle, tmp_path: Path
) -> None:
    written = plan_of(bundle)
    write_plan(bundle, written)
    second = digits_bundle(tmp_path / "repository")
    assert second.version == 2
    assert read_plan(bundle, HERE) == written
    assert read_plan(second, HERE) is None


@pytest.mark.parametrize("name", ["tuning-1.json", "tuning-999999999.json"])
def test_a_plan_is_known_by_its_name(name: str) -> None:
    assert is_plan_file(name)


@pytest.mark.parametrize("name", ["tuning-0.json", "tuning-.json", "tuning-1.json\n", "tuning-1"])
def test_other_names_are_no_plans(name: str) -> None:
    assert not is_plan_file(name)


def test_every_member_of_a_choice_survives(bundle: Bundle) -> None:
    names = {field.name for field in dataclasses.fields(Choice)}
    assert set(json.loads(plan_of(bundle).to_json())["choice"]) == names
    assert plan_file(bundle).name == "tuning-1.json"
