"""Looking at a repository without opening anything: which versions lie there, and have their files changed?

Must survive every kind of folder: what cannot be read this time is not taken for deleted, odd entries are
ignored and said once, and no folder is read without end. Runs on a thread; hashing is left to whoever opens
a version, once, because a stamp tells whether it is still the one that was opened.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from models.catalog import require_repository
from models.errors import BundleError, RepositoryMissing
from models.naming import is_name, is_version
from service.tuning.plan import is_plan_file

_log = logging.getLogger("slipway.repository")

_MOST_NAMES = 10_000
_MOST_VERSIONS = 1_000
_MOST_FILES = 1_000

Stamp = tuple[tuple[str, int, int, int], ...]
"""Of each file: path within the version, inode, bytes, time of change in nanoseconds."""


class RepositoryUnreadable(BundleError):
    """Nothing can be said about what it holds; what is served stays."""

    reason = "repository_unreadable"


@dataclass(frozen=True)
class Sighting:
    """`unreadable`: models whose folder is there and could not be read."""

    versions: dict[str, dict[int, Stamp]] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()


class Repository:
    """Remembers what it has said, and on which device the repository was."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._told: set[str] = set()
        self._device: int | None = None

    def look(self, only: Iterable[str] = ()) -> Sighting:
        """All models, or these. Raises RepositoryUnreadable, and RepositoryMissing at the first look."""
        if self._device is None:
            require_repository(self.root)
        try:
            device = os.stat(self.root).st_dev
            names = list(only) or self._names()
        except OSError as error:
            raise RepositoryUnreadable(
                f"the repository cannot be read: {error.strerror}"
            ) from error
        if not names and self._device not in (None, device):
            raise RepositoryUnreadable(
                "the repository is empty and on another device: not mounted?"
            )
        self._device = device
        versions: dict[str, dict[int, Stamp]] = {}
        unreadable = set()
        for name in names:
            try:
                found = self.look_at(name)
            except RepositoryUnreadable:
                unreadable.add(name)
                continue
            if found:
                versions[name] = found
        return Sighting(versions, frozenset(unreadable))

    def look_at(self, name: str) -> dict[int, Stamp]:
        """One model's versions; empty when there is none. Raises RepositoryUnreadable."""
        if not is_name(name):
            return {}
        try:
            entries = list(_entries(self.root / name, _MOST_VERSIONS))
            folders = [entry for entry in entries if is_version(entry.name) and _is_folder(entry)]
            self._tell_odd(name, entries)
            return {int(entry.name): stamp_of(Path(entry.path)) for entry in folders}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            message = f"model {name!r} cannot be read: {error.strerror}; what is served of it stays"
            self._tell(message)
            raise RepositoryUnreadable(message) from error

    def _names(self) -> list[str]:
        entries = list(_entries(self.root, _MOST_NAMES + 1))
        if len(entries) > _MOST_NAMES:
            self._tell(
                f"the repository has more than {_MOST_NAMES} entries; the rest is not looked at"
            )
        return sorted(entry.name for entry in entries[:_MOST_NAMES] if is_name(entry.name))

    def _tell_odd(self, name: str, entries: list[os.DirEntry[str]]) -> None:
        """Triton, too, ignores what is not a number without leading zeros; but nobody finds out there."""
        odd = [e.name for e in entries if not e.name.startswith(".") and not _is_ours(e.name)]
        if odd:
            shown = ", ".join(repr(entry[:64]) for entry in sorted(odd)[:3])
            self._tell(f"model {name!r}: {shown} ignored: a version is a folder named 1, 2, 3 …")

    def _tell(self, message: str) -> None:
        """Once; and not without end."""
        if message not in self._told and len(self._told) < _MOST_NAMES:
            self._told.add(message)
            _log.warning("%s", message)


def stamp_of(folder: Path) -> Stamp:
    """Of a version's folder; one that cannot be read has a stamp of its own, opening it says why."""
    found = []
    try:
        for path in islice(_walk(folder), _MOST_FILES):
            status = os.stat(path, follow_symlinks=False)
            inside = os.path.relpath(path, folder)
            found.append((inside, status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError as error:
        return (("", 0, 0, -(error.errno or 1)),)
    return tuple(sorted(found))


def _walk(folder: Path) -> Iterator[str]:
    """Everything below, folders included; links are named, not followed."""
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop(), _MOST_FILES):
            yield entry.path
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))


def _entries(folder: Path, most: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from islice(entries, most)


def _is_ours(name: str) -> bool:
    return is_version(name) or is_plan_file(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Also through a link, which some deployments swap to switch versions; a loop of links is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


__all__ = [
    "Repository",
    "RepositoryMissing",
    "RepositoryUnreadable",
    "Sighting",
    "Stamp",
    "stamp_of",
]
