"""Files of a folder or of a .tar or .zip archive, as names and bytes, before anybody asks what they mean.

Archives are read in memory and nothing is ever extracted, so a hostile one can neither climb out of a
folder nor leave anything behind. Used by `training.data.image_folder`.
"""

import hashlib
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from training.errors import DataError

_MOST_FILE_BYTES = 64 << 20
_MOST_ARCHIVE_BYTES = 8 << 30
# What file managers leave behind; never anybody's data.
_LITTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
_REMEDY = "give a folder or an archive of one (.tar, .tar.gz, .zip)"

Kind = Literal["file", "folder", "other"]


class _Member(NamedTuple):
    """An entry of an archive of any kind. `size_bytes` is what `read` will give."""

    name: str
    kind: Kind
    size_bytes: int
    read: Callable[[], bytes]


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
    """A folder, or a .tar, .tar.gz or .zip of one. Raises DataError when `path` is neither."""
    if path.is_dir():
        return _from_folder(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _from_members(path, _zip_members(archive))
        with tarfile.open(path) as tar:
            return _from_members(path, _tar_members(tar))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path}: cannot be read: {_first_line(error)}; {_REMEDY}") from error
    except (ValueError, RuntimeError) as error:  # a broken header; a member with a password
        raise DataError(f"{path}: cannot be read: {_first_line(error)}; {_REMEDY}") from error


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


def _from_members(path: Path, members: Iterator[_Member]) -> SourceFiles:
    files, folders, total_bytes = [], set[tuple[str, ...]](), 0
    for member in members:
        parts = tuple(part for part in PurePosixPath(member.name).parts if part not in (".", "/"))
        if ".." in parts:
            raise DataError(f"{path}: {member.name} points outside the archive")
        if not parts or _is_litter(parts):
            continue
        folders.update(parts[:depth] for depth in range(1, len(parts)))
        if member.kind == "folder":
            folders.add(parts)
            continue
        if member.kind == "other":
            raise DataError(f"{path}: {member.name} is a link or a device; archive the file itself")
        total_bytes += member.size_bytes
        if member.size_bytes > _MOST_FILE_BYTES or total_bytes > _MOST_ARCHIVE_BYTES:
            raise DataError(f"{path}: {member.name} makes the archive too large; unpack it first")
        files.append(SourceFile(parts, BytesIO(member.read()).getvalue))
    return SourceFiles(tuple(sorted(files, key=lambda file: file.parts)), frozenset(folders))


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    for member in archive:

        def read(member: tarfile.TarInfo = member) -> bytes:
            content = archive.extractfile(member)
            assert content is not None  # it is a regular file
            return content.read()

        kind: Kind = "file" if member.isreg() else "folder" if member.isdir() else "other"
        yield _Member(member.name, kind, member.size, read)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        # Unix keeps the file's mode in the upper half; other systems leave it 0.
        mode = info.external_attr >> 16
        is_plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
        kind: Kind = "folder" if info.is_dir() else "file" if is_plain else "other"
        yield _Member(info.filename, kind, info.file_size, partial(archive.read, info))


def _is_litter(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part in _LITTER for part in parts)


def _first_line(error: Exception) -> str:
    """tarfile lists every compression it tried, a line each."""
    return str(error).partition("\n")[0].rstrip(":")
