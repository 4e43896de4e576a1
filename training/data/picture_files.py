"""Files of a folder or of a .tar archive, as names and bytes, before anybody asks what they mean.

Archives are read in memory and nothing is ever extracted, so a hostile one can neither climb out of a
folder nor leave anything behind. Used by `training.data.image_folder`.
"""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

from training.errors import DataError

_MOST_FILE_BYTES = 64 << 20
_MOST_ARCHIVE_BYTES = 8 << 30
# What file managers leave behind; never anybody's data.
_LITTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})


@dataclass(frozen=True)
class SourceFile:
    """One file. `parts` are its folders and its name below the source's root."""

    parts: tuple[str, ...]
    read: Callable[[], bytes]

    @property
    def name(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True)
class SourceFiles:
    """`folders` holds every folder, also the empty ones."""

    files: tuple[SourceFile, ...]
    folders: frozenset[tuple[str, ...]]

    def sha256(self) -> str:
        """Hash of all names and contents, independent of the order on disk."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read()).digest())
        return digest.hexdigest()


def read_source(path: Path) -> SourceFiles:
    """A folder, or a .tar/.tar.gz of one. Raises DataError when `path` is neither."""
    if path.is_dir():
        return _from_folder(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    try:
        with tarfile.open(path) as archive:
            return _from_archive(path, archive)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as a .tar or .tar.gz ({_first_line(error)}); "
            "give a folder or an archive of one"
        ) from error


def _from_folder(root: Path) -> SourceFiles:
    files, folders = [], set()
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if _is_litter(parts):
            continue
        if path.is_dir():
            folders.add(parts)
        elif path.is_file():
            files.append(SourceFile(parts, path.read_bytes))
    return SourceFiles(tuple(files), frozenset(folders))


def _from_archive(path: Path, archive: tarfile.TarFile) -> SourceFiles:
    files, folders, total_bytes = [], set(), 0
    for member, parts in _members(path, archive):
        if member.isdir():
            folders.add(parts)
            continue
        if not member.isreg():
            raise DataError(f"{path}: {member.name} is a link or a device; archive the file itself")
        total_bytes += member.size
        if member.size > _MOST_FILE_BYTES or total_bytes > _MOST_ARCHIVE_BYTES:
            raise DataError(f"{path}: {member.name} makes the archive too large; unpack it first")
        content = archive.extractfile(member)
        assert content is not None  # it is a regular file
        files.append(SourceFile(parts, BytesIO(content.read()).getvalue))
        folders.update(parts[:depth] for depth in range(1, len(parts)))
    return SourceFiles(tuple(sorted(files, key=lambda file: file.parts)), frozenset(folders))


def _members(
    path: Path, archive: tarfile.TarFile
) -> Iterator[tuple[tarfile.TarInfo, tuple[str, ...]]]:
    for member in archive:
        parts = tuple(part for part in PurePosixPath(member.name).parts if part not in (".", "/"))
        if ".." in parts:
            raise DataError(f"{path}: {member.name} points outside the archive")
        if parts and not _is_litter(parts):
            yield member, parts


def _is_litter(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part in _LITTER for part in parts)


def _first_line(error: Exception) -> str:
    """tarfile lists every compression it tried, a line each."""
    return str(error).partition("\n")[0].rstrip(":")
