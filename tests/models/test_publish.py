"""Publishing: versions only grow, refusals leave nothing, publishers do not disturb each other."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from models.bundle import open_bundle
from models.catalog import list_versions, scan
from models.errors import PublishError
from models.manifest import Gate, ManifestDraft
from models.publish import publish

Stage = Callable[..., Path]


def test_a_published_bundle_reads_back_whole(
    tmp_path: Path, draft: ManifestDraft, stage: Stage
) -> None:
    bundle = publish(tmp_path / "repo", draft, stage(b"abc"))
    again = open_bundle(bundle.path)
    assert again.manifest == bundle.manifest
    assert again.read("model.onnx") == b"abc"
    assert sorted(again.manifest.files) == ["golden.npz", "model.onnx", "plots/loss.png"]


def test_versions_grow_even_after_the_newest_was_deleted(
    tmp_path: Path, draft: ManifestDraft, stage: Stage
) -> None:
    repository = tmp_path / "repo"
    assert [publish(repository, draft, stage()).version for _ in range(3)] == [1, 2, 3]
    shutil.rmtree(repository / "tiny" / "3")
    assert publish(repository, draft, stage()).version == 4


def test_a_published_version_is_never_changed(
    tmp_path: Path, draft: ManifestDraft, stage: Stage
) -> None:
    first = publish(tmp_path / "repo", draft, stage(b"first"))
    publish(tmp_path / "repo", draft, stage(b"second"))
    assert open_bundle(first.path).read("model.onnx") == b"first"


def test_a_failed_gate_publishes_nothing(
    tmp_path: Path, draft: ManifestDraft, stage: Stage
) -> None:
    gate = Gate(name="accuracy", limit=0.97, measured=0.5, comparison=">=", passed=False)
    failed = draft.model_copy(update={"gates": (gate,)})
    with pytest.raises(PublishError, match="gate accuracy failed"):
        publish(tmp_path / "repo", failed, stage())
    assert not (tmp_path / "repo").exists()


def test_a_missing_graph_is_named(tmp_path: Path, draft: ManifestDraft, stage: Stage) -> None:
    staged = stage()
    (staged / "model.onnx").unlink()
    with pytest.raises(PublishError, match=r"no model\.onnx"):
        publish(tmp_path / "repo", draft, staged)


def test_a_linked_file_is_refused_and_leaves_nothing(
    tmp_path: Path, draft: ManifestDraft, stage: Stage
) -> None:
    staged = stage()
    (staged / "labels.txt").symlink_to("/etc/hostname")
    with pytest.raises(PublishError, match=r"labels\.txt is not a plain file"):
        publish(tmp_path / "repo", draft, staged)
    assert list_versions(tmp_path / "repo", "tiny") == []
    assert not (tmp_path / "repo" / ".staging").exists()


def test_a_file_name_outside_the_grammar_is_refused(
    tmp_path: Path, draft: ManifestDraft, stage: Stage
) -> None:
    staged = stage()
    (staged / "has space.txt").write_text("x")
    with pytest.raises(PublishError, match="manifest"):
        publish(tmp_path / "repo", draft, staged)
    assert list_versions(tmp_path / "repo", "tiny") == []


def test_concurrent_publishers_get_distinct_versions(
    tmp_path: Path, draft: ManifestDraft, stage: Stage
) -> None:
    staged, versions = stage(), []
    publishers = [
        threading.Thread(
            target=lambda: versions.append(publish(tmp_path / "repo", draft, staged).version)
        )
        for _ in range(8)
    ]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join()
    assert sorted(versions) == list(range(1, 9))
    assert len(scan(tmp_path / "repo").bundles) == 8


def test_a_dead_publishers_leftovers_are_swept(
    tmp_path: Path, draft: ManifestDraft, stage: Stage
) -> None:
    leftover = tmp_path / "repo" / ".staging" / "tiny"
    leftover.mkdir(parents=True)
    (leftover / "model.onnx").write_bytes(b"half")
    publish(tmp_path / "repo", draft, stage())
    assert not leftover.parent.exists()
