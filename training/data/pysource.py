"""The Python standard library's sources, as found beside the running interpreter.

A corpus that every machine with Python has. Left out: tests and installed packages (Debian ships the
former separately), tools and tables that are not library code. The rest is read in order of its path;
a file is held out when the hash of its path says so, hence the same file on every machine, whatever
else is installed. Other Python versions have other files, so figures compare within one version only.
"""

import hashlib
import platform
import sysconfig
from pathlib import Path

from training.data.documents import Corpus, Document
from training.errors import DataError

EXCLUDED_FOLDERS = frozenset(
    {
        "__pycache__",
        "dist-packages",
        "encodings",  # generated tables of characters
        "ensurepip",
        "idle_test",
        "idlelib",
        "lib2to3",
        "pydoc_data",  # the language reference as string literals
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)
_HELD_OUT_SHARE = 16  # of 256
_SMALLEST_CORPUS_BYTES = 1_000_000


def read_standard_library(root: Path | None = None) -> Corpus:
    """Raises DataError where the interpreter comes without (enough of) its sources."""
    root = root or Path(sysconfig.get_path("stdlib"))
    documents = [
        Document(path.relative_to(root).as_posix(), text)
        for path in sorted(root.rglob("*.py"))
        if (text := _source(path, root))
    ]
    if sum(document.size_bytes for document in documents) < _SMALLEST_CORPUS_BYTES:
        raise DataError(
            f"{root} holds too few Python sources to learn from: give a text file with --data"
        )
    return Corpus(
        dataset=f"Python {platform.python_version()} standard library",
        split="files chosen by hash",
        train=tuple(document for document in documents if not is_held_out(document.name)),
        held_out=tuple(document for document in documents if is_held_out(document.name)),
    )


def is_held_out(name: str) -> bool:
    """One file in sixteen, by the first byte of its path's sha256."""
    return hashlib.sha256(name.encode()).digest()[0] < _HELD_OUT_SHARE


def _source(path: Path, root: Path) -> str:
    """The file's text; empty for files that do not count."""
    parts = path.relative_to(root).parts
    generated = parts[-1].startswith(("_sysconfigdata", "__phello__"))
    if generated or not EXCLUDED_FOLDERS.isdisjoint(parts) or parts[0].startswith("config-"):
        return ""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return ""  # a few old sources are Latin-1; a broken link is no source
