"""A run's folder: one owner, whole records, clear words when there is nothing to go on with."""

from pathlib import Path

import pytest

from models.errors import UsageError
from training.runs import RunFolder, SavedRun

SAVED = SavedRun({"recipe": "digits"}, None, "0" * 64)


def begun(root: Path) -> RunFolder:
    folder = RunFolder(root, "mine")
    with folder.owned():
        folder.begin(SAVED)
    folder.last.write_bytes(b"state")
    return folder


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    assert begun(tmp_path).saved() == SAVED


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path, "mine").owned(),
        pytest.raises(UsageError, match="choose another --name"),
        RunFolder(tmp_path, "mine").owned(),
    ):
        pass
    with RunFolder(tmp_path, "mine").owned():
        pass  # released with its owner


def test_a_new_run_forgets_the_old_ones_checkpoints(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.best.write_bytes(b"weights")
    (folder.staged / "model.onnx").write_bytes(b"graph")
    folder.begin(SAVED)
    assert not folder.last.exists()
    assert not folder.best.exists()
    assert list(folder.staged.iterdir()) == []


def test_nothing_to_resume_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without --resume"):
        RunFolder(tmp_path, "mine").saved()


@pytest.mark.parametrize("content", ["", "{", '{"other": 1}'])
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    folder = begun(tmp_path)
    (folder.path / "run.json").write_text(content)
    with pytest.raises(UsageError, match="damaged"):
        folder.saved()


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="cannot be written"),
        RunFolder(tmp_path / "file", "mine").owned(),
    ):
        pass
