"""The catalog shows what is sound, says what is not, and ignores what is not ours."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from models.catalog import find_bundle, list_names, list_versions, scan
from models.errors import BundleMissing, IntegrityError, RepositoryMissing
from models.manifest import ManifestDraft
from models.publish import publish


@pytest.fixture
def repository(tmp_path: Path, draft: ManifestDraft, stage: Callable[..., Path]) -> Path:
    for weights in (b"one", b"two"):
        publish(tmp_path / "repo", draft, stage(weights))
    return tmp_path / "repo"


def test_a_missing_repository_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RepositoryMissing, match="slipway train"):
        scan(tmp_path / "nowhere")


def test_what_is_not_a_version_is_ignored(repository: Path) -> None:
    for name in ("01", "v2", "0", "-1", "latest", "1e3", ".hidden"):
        (repository / "tiny" / name).mkdir()
    (repository / "tiny" / "9").write_text("a file, not a folder")
    (repository / "not a name!").mkdir()
    assert list_versions(repository, "tiny") == [1, 2]
    assert list_names(repository) == ["tiny"]


@pytest.mark.parametrize("name", ["..", "../repo/tiny", "tiny/", "", "a" * 65, "tiny\n", "ti\0ny"])
def test_a_name_outside_the_grammar_has_no_versions(repository: Path, name: str) -> None:
    assert list_versions(repository, name) == []


def test_the_newest_sound_version_is_found(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_bundle(repository, "tiny").version == 2
    (repository / "tiny" / "2" / "model.onnx").write_bytes(b"bad")
    with caplog.at_level(logging.WARNING):
        assert find_bundle(repository, "tiny").version == 1
    assert "tiny/2: model.onnx" in caplog.text


def test_a_broken_version_asked_for_by_number_is_an_error(repository: Path) -> None:
    (repository / "tiny" / "2" / "model.onnx").write_bytes(b"bad")
    with pytest.raises(IntegrityError):
        find_bundle(repository, "tiny", 2)


def test_unknown_names_and_versions_are_answered_with_the_known(repository: Path) -> None:
    with pytest.raises(BundleMissing, match="the repository has: tiny"):
        find_bundle(repository, "tinny")
    with pytest.raises(BundleMissing, match="it has: 1, 2"):
        find_bundle(repository, "tiny", 3)


def test_a_scan_lists_broken_versions_with_their_reason(repository: Path) -> None:
    (repository / "tiny" / "1" / "model.onnx").write_bytes(b"bad")
    (repository / "tiny" / "3").mkdir()
    listing = scan(repository)
    assert [bundle.version for bundle in listing.bundles] == [2]
    assert [(r.version, r.reason) for r in listing.rejected] == [(1, "integrity"), (3, "manifest")]
