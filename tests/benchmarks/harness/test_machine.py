"""The conditions of a measurement are found out, not typed."""

import subprocess
from pathlib import Path

from benchmarks.harness.machine import commit_of, look_at_machine

ROOT = Path(__file__).parents[3]


def test_the_conditions_are_complete() -> None:
    machine = look_at_machine(ROOT)
    assert machine.cores > 0
    assert machine.cpu
    assert {"python", "wrk", "onnxruntime", "uvicorn"} <= set(machine.versions)
    assert 0 <= machine.busy_share <= 1


def test_a_commit_with_changes_says_so(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True)

    assert commit_of(tmp_path / "none") == "unknown"
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "a.py").write_text("1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    clean = commit_of(tmp_path)
    assert len(clean) == 12
    (tmp_path / "service" / "a.py").write_text("2\n")
    assert commit_of(tmp_path) == f"{clean} + changes"
