"""transformers' and sentence-transformers' own loading and asking, held to this machine's files.

Everything is read from the disk, from safetensors alone; code in a checkpoint is never run.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.checkpoints import quiet_transformers
from training.errors import DataError

OFFLINE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


@contextmanager
def quiet_library() -> Iterator[None]:
    """As `quiet_transformers`, and without its advice on devices and deprecations."""
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def blaming(folder: Path, what: str) -> Iterator[None]:
    """Errors of the library become one line that names the checkpoint. Raises DataError."""
    try:
        with quiet_library():
            yield
    except DataError:
        raise
    except Exception as error:  # a dozen kinds; the person gets one line
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{folder}: {what}: {lines[0]}") from error


def load_tokenizer(folder: Path) -> Any:
    """The library's own, backed by the tokenizers library. One without tokenizer.json is converted."""
    from transformers import AutoTokenizer

    with blaming(folder, "transformers cannot read the tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
    if not tokenizer.is_fast:
        raise DataError(
            f"{folder}: {type(tokenizer).__name__} exists in Python only; a tokenizer.json is needed, "
            "and transformers cannot make one of it"
        )
    return tokenizer


def load_image_processor(folder: Path) -> Any:
    """With Pillow, as the server decodes: torchvision's resampling differs by a few levels."""
    import transformers

    reader: Any = transformers.AutoImageProcessor
    if not (folder / "preprocessor_config.json").is_file():
        raise DataError(
            f"{folder}: there is no preprocessor_config.json, which says how pictures are read"
        )
    with blaming(folder, "transformers cannot read the image processor"):
        processor = reader.from_pretrained(folder, backend="pil", **OFFLINE)
    if getattr(processor, "backend", "pil") != "pil":
        raise DataError(
            f"{folder}: {type(processor).__name__} works with torchvision alone, whose pixels differ "
            "from those a server computes"
        )
    return processor


def make_pipeline(task: str, **parts: Any) -> Any:
    """A transformers pipeline of loaded parts, on the CPU."""
    import transformers

    make: Any = transformers.pipeline  # typed by the literal names of its tasks
    with quiet_library():
        return make(task, device="cpu", **parts)
