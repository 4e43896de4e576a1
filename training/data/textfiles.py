"""Plain text of one's own, given with --data: a text file, a JSONL file with a `text` in every line, or
a folder of these.

The last part of every text file is held out, cut at the end of a line: text is judged on what follows
what was learned, not on neighbours of it. Of a JSONL file, whose lines are texts of their own, the last
lines are held out.
"""

import json
from pathlib import Path

from training.data.documents import Corpus, Document
from training.data.split_files import read_utf8
from training.errors import DataError

_SUFFIXES = frozenset({".md", ".py", ".txt", ".jsonl"})
_SMALLEST_BYTES = 4_096

Sides = tuple[list[Document], list[Document]]


def read_text_files(data: Path, held_out: float = 0.1) -> Corpus:
    """`held_out` is the part of every file that nothing is learned from.

    Raises DataError naming the file (and line) that cannot be used.
    """
    train: list[Document] = []
    last: list[Document] = []
    for path in _files(data):
        name = path.name if path == data else path.relative_to(data).as_posix()
        read = _read_lines if path.suffix == ".jsonl" else _read_text
        for side, documents in zip((train, last), read(path, name, held_out), strict=True):
            side += [document for document in documents if document.text]
    size_bytes = sum(len(document.text) for document in (*train, *last))
    if size_bytes < _SMALLEST_BYTES or not train or not last:
        raise DataError(
            f"{data}: {size_bytes} characters of text are too few to learn from and be judged on; "
            f"at least {_SMALLEST_BYTES} in more than one line are needed"
        )
    return Corpus(data.name, f"last {held_out:.0%} of each file", tuple(train), tuple(last))


def _files(data: Path) -> list[Path]:
    if data.is_file():
        return [data]
    if not data.is_dir():
        raise DataError(f"--data {data}: no such file or folder")
    found = sorted(path for path in data.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    if not found:
        raise DataError(f"{data}: the folder holds no {', '.join(sorted(_SUFFIXES))} file")
    return found


def _read_text(path: Path, name: str, held_out: float) -> Sides:
    text = read_utf8(path)
    cut = text.rfind("\n", 0, len(text) - int(len(text) * held_out)) + 1
    return [Document(name, text[:cut])], [Document(f"{name} (end)", text[cut:])]


def _read_lines(path: Path, name: str, held_out: float) -> Sides:
    documents = []
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON ({error})") from error
        text = entry.get("text") if isinstance(entry, dict) else None
        if not isinstance(text, str):
            raise DataError(
                f'{path}, line {number}: expected an object with a text, {{"text": "…"}}'
            )
        documents.append(Document(f"{name}:{number}", text))
    cut = len(documents) - max(1, int(len(documents) * held_out))
    return documents[:cut], documents[cut:]
