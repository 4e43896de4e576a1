"""Publishing: a staged folder becomes a version that readers see whole or not at all.

Order, each step durable before the next: lock → copy into a staging folder on the same file system,
fsync each file → claim a version number → manifest last → fsync folders → rename → fsync the parent.
A crash at any point leaves at most a staging folder (swept by the next publisher) and a claimed number
(never used again: numbers only grow, even when the newest version was deleted).
"""

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from models.bundle import Bundle, open_bundle
from models.catalog import list_versions
from models.errors import PublishError
from models.files import list_files
from models.manifest import MANIFEST_FILE, MODEL_FILE, FileEntry, Manifest, ManifestDraft

_CHUNK_BYTES = 1 << 20
_LOCK_FILE = ".publish.lock"
_STAGING = ".staging"
_HIGH_WATER = ".high_water"


def publish(
    repository: Path,
    draft: ManifestDraft,
    staged: Path,
    *,
    allow_failed_gates: bool = False,
    version: int | None = None,
) -> Bundle:
    """Copy every file of `staged` into the repository as the next version of `draft.name`, or as
    `version`, for a copy of what has a number already; it must be above all others.

    Raises PublishError: a gate failed, `model.onnx` is missing, a file is not plain, or the file system
    refused. In every such case readers see exactly what they saw before.
    """
    failed = [gate.name for gate in draft.gates if not gate.passed]
    if failed and not allow_failed_gates:
        raise PublishError(f"{draft.name} is not published: gate {', '.join(failed)} failed")
    if not (staged / MODEL_FILE).is_file():
        raise PublishError(f"{draft.name} is not published: there is no {MODEL_FILE} to publish")
    try:
        _make_folder(repository)
        with _locked(repository):
            return _publish_locked(repository, draft, staged, version)
    except OSError as error:
        raise PublishError(f"{draft.name} is not published: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise PublishError(
            f"{draft.name} is not published: its manifest: {first['msg']}"
        ) from error


def _publish_locked(
    repository: Path, draft: ManifestDraft, staged: Path, wanted: int | None
) -> Bundle:
    staging_root = repository / _STAGING
    if staging_root.exists():
        shutil.rmtree(staging_root)  # whoever left it is dead: the lock is ours
    staging = staging_root / draft.name
    staging.mkdir(parents=True)
    try:
        files = {file: _copy_durably(staged, staging, file) for file in list_files(staged)}
        model_folder = repository / draft.name
        _make_folder(model_folder)
        version = _claim_version(repository, draft.name, wanted)
        manifest = Manifest(
            **{name: getattr(draft, name) for name in ManifestDraft.model_fields},
            version=version,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            files=files,
        )
        _write_durably(staging / MANIFEST_FILE, manifest.to_json())
        for folder, _, _ in os.walk(staging, topdown=False):
            _sync_folder(Path(folder))
        target = model_folder / str(version)
        os.rename(staging, target)
        _sync_folder(model_folder)
    finally:
        shutil.rmtree(staging_root, ignore_errors=True)
    return open_bundle(target, verify=False)


def _claim_version(repository: Path, name: str, wanted: int | None) -> int:
    """One more than any version that exists or was ever claimed; the claim itself is durable."""
    mark = repository / name / _HIGH_WATER
    claimed = int(mark.read_text()) if mark.exists() else 0
    highest = max([claimed, *list_versions(repository, name)])
    if wanted is not None and wanted <= highest:
        raise PublishError(f"{name} is not published: version {wanted} is not above {highest}")
    version = wanted or highest + 1
    fresh = mark.with_suffix(".new")
    _write_durably(fresh, f"{version}\n".encode())
    os.replace(fresh, mark)
    _sync_folder(mark.parent)
    return version


def _copy_durably(source_root: Path, target_root: Path, file: str) -> FileEntry:
    source = source_root / file
    if not stat.S_ISREG(source.lstat().st_mode):
        raise PublishError(f"{file} is not a plain file; copy its content instead of linking it")
    target = target_root / file
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size_bytes = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return FileEntry(sha256=digest.hexdigest(), size_bytes=size_bytes)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """mkdir -p whose result survives a power cut."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """One publisher at a time; the kernel releases the lock when a publisher dies."""
    descriptor = os.open(repository / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
