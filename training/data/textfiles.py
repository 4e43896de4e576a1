"""Plain text of one's own: a file, or a folder of .txt and .py files, given with --data.

The last tenth of every file is held out, cut at the end of a line: text is judged on what follows what
was learned, not on neighbours of it.
"""

from pathlib import Path

from training.data.documents import Corpus, Document
from training.errors import DataError

_SUFFIXES = frozenset({".md", ".py", ".txt"})
_HELD_OUT_SHARE = 10  # one tenth
_SMALLEST_BYTES = 4_096


def read_text_files(data: Path) -> Corpus:
    """Raises DataError naming the file (and line) that cannot be used."""
    pairs = [_split(path, data) for path in _files(data)]
    corpus = Corpus(
        dataset=data.name,
        split="last tenth of each file",
        train=tuple(train for train, _ in pairs if train.text),
        held_out=tuple(held_out for _, held_out in pairs if held_out.text),
    )
    size_bytes = sum(len(document.text) for document in (*corpus.train, *corpus.held_out))
    if size_bytes < _SMALLEST_BYTES or not corpus.train or not corpus.held_out:
        raise DataError(
            f"{data}: {size_bytes} characters of text are too few to learn from and be judged on; "
            f"at least {_SMALLEST_BYTES} in more than one line are needed"
        )
    return corpus


def _files(data: Path) -> list[Path]:
    if data.is_file():
        return [data]
    if not data.is_dir():
        raise DataError(f"--data {data}: no such file or folder")
    found = sorted(path for path in data.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    if not found:
        raise DataError(f"{data}: the folder holds no {', '.join(sorted(_SUFFIXES))} file")
    return found


def _split(path: Path, data: Path) -> tuple[Document, Document]:
    name = path.name if path == data else path.relative_to(data).as_posix()
    text = _read(path)
    cut = text.rfind("\n", 0, len(text) - len(text) // _HELD_OUT_SHARE) + 1
    return Document(name, text[:cut]), Document(f"{name} (end)", text[cut:])


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 text (byte {data[error.start]:#04x}); convert it first"
        ) from error
