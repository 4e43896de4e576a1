"""A publisher killed at any system call leaves readers with the old version or the new, never a part.

strace kills a real publisher on entry to its N-th call, for every N between two marks. Where strace
cannot attach, a file layer that dies before its N-th operation stands in (coarser: one step a call of
`os`, not one a system call).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models import publish as publish_module
from models.catalog import scan
from models.manifest import ManifestDraft
from models.publish import publish

Stage = Callable[..., Path]

# The publisher under test: everything is imported before the first mark, so only publishing is swept.
_PROGRAM = """
import gc, os, sys
from pathlib import Path
from models.manifest import ManifestDraft
from models.publish import publish
draft = ManifestDraft.model_validate_json(Path(sys.argv[2]).read_bytes())
repository, staged = Path(sys.argv[1]), Path(sys.argv[3])
import models.bundle, pathlib, datetime, shutil
gc.disable()
os.access("/mark-begin", os.F_OK)
publish(repository, draft, staged)
os.access("/mark-end", os.F_OK)
"""

# They leave files alone, and how many the allocator makes differs from run to run.
_MEMORY_CALLS = frozenset({"brk", "madvise", "mmap", "mprotect", "mremap", "munmap"})
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")


def _strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    probe = ["strace", "-f", "-e", "inject=access:signal=KILL:when=1", "-o", "/dev/null", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode in (0, 137, -9)


needs_strace = pytest.mark.skipif(
    not _strace_works(), reason="strace cannot inject here; install it and allow ptrace"
)


class _Scene:
    """A repository with version 1, and what a publisher of version 2 needs."""

    def __init__(self, root: Path, draft: ManifestDraft, stage: Stage) -> None:
        self.root = root
        self.template = root / "template"
        publish(self.template, draft, stage(b"old"))
        self.staged = stage(b"new")
        self.draft = root / "draft.json"
        self.draft.write_text(draft.model_dump_json())

    def fresh(self, label: str) -> Path:
        return Path(shutil.copytree(self.template, self.root / label))

    def command(self, repository: Path) -> list[str]:
        code = [sys.executable, "-X", "frozen_modules=on", "-c", _PROGRAM]
        return [*code, str(repository), str(self.draft), str(self.staged)]


@pytest.fixture
def scene(tmp_path: Path, draft: ManifestDraft, stage: Stage) -> _Scene:
    return _Scene(tmp_path, draft, stage)


def _assert_old_or_new(repository: Path) -> int:
    """Readers see whole versions only; returns the newest."""
    listing = scan(repository)
    assert not listing.rejected
    contents = {bundle.version: bundle.read("model.onnx") for bundle in listing.bundles}
    assert contents in ({1: b"old"}, {1: b"old", 2: b"new"})
    return max(contents)


def _assert_next_publisher_recovers(repository: Path, scene: _Scene) -> None:
    draft = ManifestDraft(**json.loads(scene.draft.read_text()))
    newest = max(bundle.version for bundle in scan(repository).bundles)
    assert publish(repository, draft, scene.staged).version > newest
    assert not (repository / ".staging").exists()


def _calls_between_marks(trace: str) -> Iterator[tuple[str, int]]:
    """(system call, how many of its kind since the start), as strace's `when=` counts them."""
    seen: Counter[str] = Counter()
    inside = False
    for line in trace.splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        name, rest = match.groups()
        seen[name] += 1
        if "/mark-end" in rest:
            return
        if inside and name not in _MEMORY_CALLS:
            yield name, seen[name]
        inside = inside or "/mark-begin" in rest


def _strace(scene: _Scene, repository: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    # One thread of numpy's BLAS: another would interleave its own calls.
    environment["OPENBLAS_NUM_THREADS"] = "1"
    command = ["strace", *options, *scene.command(repository)]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_at_every_system_call_readers_see_old_or_new(scene: _Scene, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    assert _strace(scene, scene.fresh("whole"), "-o", str(trace)).returncode == 0
    calls = list(_calls_between_marks(trace.read_text(errors="replace")))
    assert {"rename", "fsync", "write", "flock"} <= {name for name, _ in calls}

    def die_at(call: tuple[str, int]) -> int:
        name, ordinal = call
        repository = scene.fresh(f"{name}-{ordinal}")
        inject = f"inject={name}:signal=KILL:when={ordinal}"
        result = _strace(scene, repository, "-o", os.devnull, "-e", f"trace={name}", "-e", inject)
        assert result.returncode in (-9, 137), (
            f"{name} #{ordinal} was not reached: {result.stderr!r}"
        )
        newest = _assert_old_or_new(repository)
        _assert_next_publisher_recovers(repository, scene)
        shutil.rmtree(repository)
        return newest

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(die_at, calls))
    # The sweep crossed the moment of publication: early deaths leave 1, late ones 2, in that order.
    assert set(outcomes) == {1, 2}
    assert outcomes == sorted(outcomes)


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["write:error=ENOSPC:when=1", "fsync:error=EIO", "rename:error=EIO"]
)
def test_a_refusing_disk_publishes_nothing_and_says_so(scene: _Scene, fault: str) -> None:
    repository = scene.fresh("refusing")
    result = _strace(scene, repository, "-o", os.devnull, "-e", f"inject={fault}")
    assert result.returncode == 1
    assert b"PublishError: tiny is not published" in result.stderr
    assert _assert_old_or_new(repository) == 1
    assert not (repository / ".staging").exists()
    _assert_next_publisher_recovers(repository, scene)


class _DyingOs:
    """Stands in for `os` inside the publisher: its N-th operation ends the process."""

    def __init__(self, survive: int) -> None:
        self.left = survive

    def __getattr__(self, name: str) -> object:
        if name in ("fsync", "rename", "replace", "open", "close", "walk"):
            if self.left == 0:
                os._exit(77)
            self.left -= 1
        return getattr(os, name)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_killed_at_every_file_operation_readers_see_old_or_new(
    scene: _Scene, draft: ManifestDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = []
    for survive in range(200):
        repository = scene.fresh(f"operation-{survive}")
        child = os.fork()
        if child == 0:
            monkeypatch.setattr(publish_module, "os", _DyingOs(survive))
            publish(repository, draft, scene.staged)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        outcomes.append(_assert_old_or_new(repository))
        _assert_next_publisher_recovers(repository, scene)
        if status == 0:
            break
        assert status == 77
    assert set(outcomes) == {1, 2}
    assert outcomes == sorted(outcomes)
