"""A checkpoint's folder, looked at before anything of it is loaded: what it is, whose, and how large.

Used by the importer. Only files that Slipway or the library reads are counted and hashed: a snapshot may
hold the same weights in five more formats.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.checkpoints import CONFIG_FILE, checkpoint_folder, read_json
from training.errors import DataError

MODULES_FILE = "modules.json"
_READ = ("*.json", "*.txt", "*.model", "*.safetensors", "README.md")
# Kept by some libraries beside the weights, and of no influence on an answer.
_UNREAD = re.compile(
    r"(^|/)(data_config|trainer_state|all_results|train_results|eval_results)\.json$"
)
_CHUNK_BYTES = 1 << 20
_LARGEST_README_BYTES = 1 << 20
_CACHE_FOLDER = re.compile(r"models--(.+)")


@dataclass(frozen=True)
class Checkpoint:
    """`folder` holds config.json and weights; `root` the whole of a sentence-transformers model, else the
    same. `files` is path below `root` → sha256."""

    folder: Path
    root: Path
    source: str
    config: dict[str, Any]
    files: dict[str, str]
    size_bytes: int
    licence: str | None

    @property
    def architecture(self) -> str:
        named = self.config.get("architectures")
        first = named[0] if isinstance(named, list) and named else None
        return first if isinstance(first, str) else ""

    @property
    def is_sentence_transformer(self) -> bool:
        return (self.root / MODULES_FILE).is_file()

    def sha256(self) -> str:
        """Of all the files together."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def open_checkpoint(source: str) -> Checkpoint:
    """`source` as in `checkpoint_folder`. Raises UsageError and DataError naming what is missing."""
    folder = checkpoint_folder(source)
    has_stages = not (folder / MODULES_FILE).is_file() and (folder.parent / MODULES_FILE).is_file()
    root = folder.parent if has_stages else folder
    config = read_json(folder / CONFIG_FILE)
    if "auto_map" in config:
        raise DataError(
            f"{folder}: its network is code that comes with the checkpoint (auto_map), which is never "
            "run; only architectures that transformers itself holds can be imported"
        )
    files, size_bytes = {}, 0
    for path in _files(root):
        files[path.relative_to(root).as_posix()] = _digest(path)
        size_bytes += path.stat().st_size
    return Checkpoint(folder, root, _name(source, root), config, files, size_bytes, _licence(root))


def label_names(config: dict[str, Any]) -> list[str]:
    """One name a class, in class order. Raises DataError when numbers are missing or names cannot stand
    on a line of their own."""
    named = config.get("id2label")
    if not isinstance(named, dict) or not named:
        return [f"LABEL_{index}" for index in range(int(config.get("num_labels", 2)))]
    try:
        by_number = {int(number): str(name) for number, name in named.items()}
    except ValueError:
        raise DataError(f"{CONFIG_FILE}: id2label has a key that is not a number") from None
    if sorted(by_number) != list(range(len(by_number))):
        raise DataError(f"{CONFIG_FILE}: id2label does not count from 0 to {len(by_number) - 1}")
    names = [by_number[number] for number in range(len(by_number))]
    for number, name in enumerate(names):
        if name.splitlines() != [name]:
            raise DataError(f"{CONFIG_FILE}: the name of class {number} is not one line: {name!r}")
    return names


def _files(root: Path) -> Iterator[Path]:
    """In the folder itself, and in the folders of a sentence-transformers model's stages."""
    folders = [root, *(child for child in sorted(root.iterdir()) if child.is_dir())]
    for folder in folders:
        if folder != root and not re.match(r"\d+_", folder.name):
            continue
        found = {path for pattern in _READ for path in folder.glob(pattern) if path.is_file()}
        yield from sorted(path for path in found if not _UNREAD.search(path.as_posix()))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _name(source: str, root: Path) -> str:
    """An id or a folder's own name: where it lay on this machine is nobody else's business."""
    for folder in (root, *root.parents):
        if found := _CACHE_FOLDER.fullmatch(folder.name):
            return f"{found[1].replace('--', '/')} at {root.name}"
    return root.name if Path(source).expanduser().exists() else source


def _licence(root: Path) -> str | None:
    """What the front matter of README.md names."""
    path = root / "README.md"
    if not path.is_file() or path.stat().st_size > _LARGEST_README_BYTES:
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != "---":
        return None
    for line in lines[1:]:
        if line.strip() == "---":
            return None
        if found := re.fullmatch(r"licen[sc]e:\s*['\"]?([\w .+-]{1,64}?)['\"]?\s*", line):
            return found[1]
    return None
