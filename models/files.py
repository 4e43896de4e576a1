"""Opening files of a bundle without being fooled: plain files only, no links, no climbing out.

ONNX Runtime itself follows a hard link out of the folder, and a symbolic link in a parent folder defeats
checks of the last component, so every component is opened relative to the one before with O_NOFOLLOW.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import IntegrityError

_CHUNK_BYTES = 1 << 20


@contextmanager
def open_plain(root: Path, relative: str) -> Iterator[int]:
    """Yield a read-only descriptor of `root/relative`.

    `root` is resolved once (a mounted volume may reach it through links); everything below must be real
    folders and a regular file with a single link. Raises IntegrityError.
    """
    *folders, name = relative.split("/")
    opened: list[int] = []
    try:
        opened.append(os.open(root.resolve(), os.O_RDONLY | os.O_DIRECTORY))
        for folder in folders:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            opened.append(os.open(folder, flags, dir_fd=opened[-1]))
        # O_NONBLOCK: opening a FIFO for reading would otherwise wait for a writer for ever.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        opened.append(os.open(name, flags, dir_fd=opened[-1]))
        status = os.fstat(opened[-1])
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise IntegrityError(f"{relative}: not a plain file (links and devices are refused)")
        yield opened[-1]
    except OSError as error:
        raise IntegrityError(f"{relative}: {error.strerror}") from error
    finally:
        for descriptor in reversed(opened):
            os.close(descriptor)


def read_plain(root: Path, relative: str, limit_bytes: int | None = None) -> bytes:
    """The whole file. Raises IntegrityError, also when it is longer than `limit_bytes`."""
    with open_plain(root, relative) as descriptor:
        size_bytes = os.fstat(descriptor).st_size
        if limit_bytes is not None and size_bytes > limit_bytes:
            raise IntegrityError(
                f"{relative}: {size_bytes} bytes, at most {limit_bytes} are allowed"
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read()


def digest_plain(root: Path, relative: str) -> tuple[str, int]:
    """(sha256 in hexadecimal, size in bytes) without holding the file in memory."""
    digest, size_bytes = hashlib.sha256(), 0
    with open_plain(root, relative) as descriptor:
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return digest.hexdigest(), size_bytes


def list_files(root: Path) -> list[str]:
    """Every path below `root` that is not a real folder, as sorted relative POSIX paths."""
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        found += [(Path(folder) / name).relative_to(root).as_posix() for name in (*names, *links)]
    return sorted(found)
