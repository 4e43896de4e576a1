"""Looking at a repository: quick, bounded, unimpressed by odd entries, and never taking trouble for loss."""

import logging
import os
import socket
import time
from pathlib import Path

import pytest

from models.errors import RepositoryMissing
from service.lifecycle import repository as module
from service.lifecycle.repository import Repository, RepositoryUnreadable, stamp_of


def make(root: Path, *versions: str) -> None:
    for version in versions:
        folder = root / version
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")


def test_versions_are_found_by_number_and_everything_else_is_ignored_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "m/1", "m/10", "m/01", "m/v2", "m/2.0", "w/3", ".staging/m", "bad name/1")
    (tmp_path / "m" / "7").write_text("a file")
    (tmp_path / "README").write_text("a file")
    (tmp_path / "empty").mkdir()
    repository = Repository(tmp_path)
    with caplog.at_level(logging.WARNING, "slipway.repository"):
        logging.getLogger("slipway").propagate = True
        for _ in range(2):
            found = repository.look().versions
    assert {name: sorted(versions) for name, versions in found.items()} == {"m": [1, 10], "w": [3]}
    lines = [r.getMessage() for r in caplog.records if r.name == "slipway.repository"]
    assert len(lines) == 1
    assert "'01', '2.0', 'v2' ignored" in lines[0]


def test_pipes_sockets_and_loops_of_links_are_no_versions(tmp_path: Path) -> None:
    make(tmp_path, "m/1")
    os.mkfifo(tmp_path / "m" / "2")
    (tmp_path / "m" / "3").symlink_to(tmp_path / "m" / "3")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "m" / "1" / "self").symlink_to(tmp_path / "m" / "1")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        sighting = Repository(tmp_path).look()
    assert {name: list(versions) for name, versions in sighting.versions.items()} == {"m": [1]}
    assert sighting.unreadable == {"loop"}, "a link that leads nowhere says nothing about the model"


def test_a_link_to_a_folder_is_a_version_because_deployments_switch_them(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/1", "m/1")
    (tmp_path / "m" / "2").symlink_to(tmp_path / "elsewhere" / "1")
    assert sorted(Repository(tmp_path).look().versions["m"]) == [1, 2]


def test_a_stamp_changes_with_any_file_and_only_then(tmp_path: Path) -> None:
    make(tmp_path, "m/1")
    folder = tmp_path / "m" / "1"
    (folder / "deep").mkdir()
    weights = folder / "deep" / "weights"
    weights.write_bytes(b"abcd")
    before = stamp_of(folder)
    assert stamp_of(folder) == before
    status = weights.stat()
    weights.write_bytes(b"abce")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    changed = stamp_of(folder)
    assert changed != before
    (folder / "extra").write_text("")
    assert stamp_of(folder) != changed
    assert stamp_of(tmp_path / "nothing") != before


def test_a_folder_that_cannot_be_read_is_not_a_deleted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "m/1", "w/1")
    real = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "m":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(module.os, "scandir", refusing)
    sighting = Repository(tmp_path).look()
    assert sighting.unreadable == {"m"}
    assert list(sighting.versions) == ["w"]


def test_a_repository_that_went_away_is_unreadable_and_one_that_never_was_is_missing(
    tmp_path: Path,
) -> None:
    root = tmp_path / "repository"
    repository = Repository(root)
    with pytest.raises(RepositoryMissing, match="slipway train"):
        repository.look()
    make(root, "m/1")
    assert repository.look().versions
    root.rename(tmp_path / "gone")
    with pytest.raises(RepositoryUnreadable, match="cannot be read"):
        repository.look()


def test_an_empty_folder_where_a_volume_was_mounted_is_not_an_empty_repository(
    tmp_path: Path,
) -> None:
    make(tmp_path, "m/1")
    repository = Repository(tmp_path)
    repository.look()
    repository._device = -1  # what it held lay on another device
    (tmp_path / "m").rename(tmp_path / ".m")
    with pytest.raises(RepositoryUnreadable, match="not mounted"):
        repository.look()


def test_ten_thousand_models_are_looked_at_in_bounded_time(tmp_path: Path) -> None:
    for number in range(10_050):
        os.mkdir(tmp_path / f"m{number}")
    began = time.process_time()
    sighting = Repository(tmp_path).look()
    assert time.process_time() - began < 5.0
    assert sighting.versions == {}


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "x\0", "é", "a" * 300])
def test_a_name_that_is_none_reaches_no_file(name: str, tmp_path: Path) -> None:
    make(tmp_path, "x/1")
    assert Repository(tmp_path / "x").look_at(name) == {}
