"""Checkpoints that others trained, found on this machine: folders, packages, the hub's local cache.

Read by `training.pretrained`, which makes networks of them. Nothing here downloads, runs code that
came with a checkpoint, or unpickles: weights are read from safetensors alone.
"""

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.errors import UsageError
from training.errors import DataError

CONFIG_FILE = "config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def checkpoint_folder(source: str) -> Path:
    """The folder that holds `config.json` and weights.

    `source` is a folder (the checkpoint itself, or a package around exactly one), the name of an
    installed package that ships one, or an id that the hub's local cache holds. Raises UsageError
    when it is none of these, DataError when a folder lacks a file.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _complete(_inside(folder, source))
    if folder.exists():
        raise UsageError(f"pretrained {source}: is a file; name the folder that holds config.json")
    found = _package(source) or _cached(source)
    if found is None:
        raise UsageError(
            f"pretrained {source}: no such folder, no installed package of that name, and not in the "
            "local cache; nothing is downloaded: name a folder with config.json, model.safetensors "
            "and tokenizer.json"
        )
    return _complete(_inside(found, source))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of a checkpoint; {} where there is no such file. Raises DataError."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds no JSON object")
    return found


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Its bars and reports of unused heads are not for the person who waits; what matters is checked."""
    from transformers.utils import logging as library_logging

    level, had_bar = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity(logging.ERROR)
    library_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        library_logging.set_verbosity(level)
        if had_bar:
            library_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def load_module(
    auto_class: Any, folder: Path, *, optional: tuple[str, ...] = (), **options: Any
) -> Any:
    """`auto_class.from_pretrained(folder)` in float32, strictly: every weight must be in the file.

    Weights whose names begin with one of `optional` may be missing. Raises DataError.
    """
    import torch

    try:
        with quiet_transformers():
            module, info = auto_class.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # the library raises a dozen kinds; the run ends with one line
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"{folder}: transformers cannot read the checkpoint: {reason[0]}"
        ) from error
    missing = sorted(
        str(name) for name in info["missing_keys"] if not str(name).startswith(optional or ("\0",))
    )
    if missing or info["mismatched_keys"]:
        names = missing or sorted(str(entry[0]) for entry in info["mismatched_keys"])
        raise DataError(
            f"{folder}: {len(names)} weights of {type(module).__name__} are missing or of another "
            f"shape in the file, e.g. {names[0]}; is it a checkpoint of this architecture?"
        )
    return module


def _inside(folder: Path, source: str) -> Path:
    """The folder itself, or the only one below it that is a checkpoint."""
    if (folder / CONFIG_FILE).is_file():
        return folder
    found = sorted(
        child for child in folder.iterdir() if child.is_dir() and (child / CONFIG_FILE).is_file()
    )
    # A sentence-transformers folder keeps each stage's options in a numbered folder of its own.
    found = [child for child in found if not re.match(r"\d+_(?!Transformer)", child.name)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} of its folders have one" if found else "it has none"
    raise DataError(f"pretrained {source}: a checkpoint needs a {CONFIG_FILE}, and {what}")


def _complete(folder: Path) -> Path:
    if any((folder / name).is_file() for name in _WEIGHTS):
        return folder
    other = next(
        (
            path.name
            for pattern in ("*.bin", "*.pt", "*.pth", "*.h5")
            for path in folder.glob(pattern)
        ),
        None,
    )
    hint = (
        f"; {other} may hold code and is not read: convert it where you trust it, "
        "model.save_pretrained(folder)"
        if other
        else ""
    )
    raise DataError(f"{folder}: there is no model.safetensors{hint}")


def _package(source: str) -> Path | None:
    """Where a package of this name lies. It is located, not imported."""
    name = source.replace("-", "_")
    if not name.isidentifier():
        return None
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(next(iter(found.submodule_search_locations)))
    has_one = any(folder.glob(CONFIG_FILE)) or any(folder.glob(f"*/{CONFIG_FILE}"))
    return folder if has_one else None


def _cached(source: str) -> Path | None:
    """The newest snapshot in the hub's cache on this disk."""
    if not _IDENTIFIER.fullmatch(source):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, CONFIG_FILE)
    return Path(found).parent if isinstance(found, str) else None
