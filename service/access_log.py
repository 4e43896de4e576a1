"""The access log: one JSON object a line and request, on standard output.

Nothing of a request's body, query or headers but its id is written. JSON escapes what could end a line
(the Unicode line ends as well), paths are cut, so that a line stays one line whatever a caller sends.
"""

import io
import select
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

import orjson

from service.records import Record

_MOST_PATH = 256
_PAUSE_S = 0.05
# Some readers of logs take these for line ends, and terminals obey C1 codes; orjson leaves them as they are.
_UNSAFE = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0xFEFF)}


class Stream(Protocol):
    """Unbuffered: `write` may take a part, or nothing (None) of a non-blocking pipe."""

    def write(self, data: memoryview, /) -> int | None: ...


class AccessLog:
    """Called by its own thread only; may block as long as the stream does."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, records: Sequence[Record]) -> None:
        """Raises OSError (disk full) or ValueError (closed)."""
        for piece in _pieces(map(line, records)):
            self._write(piece)

    def _write(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            taken = self._stream.write(rest)
            if taken is None:
                time.sleep(_PAUSE_S)
            else:
                rest = rest[taken:]


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, in pieces that a pipe takes in one go: several front ends write to the same one, and
    larger pieces could be torn apart by another's."""
    piece = bytearray()
    for one in lines:
        if piece and len(piece) + len(one) > select.PIPE_BUF:
            yield bytes(piece)
            piece.clear()
        piece += one
    if piece:
        yield bytes(piece)


def standard_output() -> Stream:
    # Not sys.stdout: a thread that is stuck in its buffer's lock would abort the interpreter's exit.
    return io.FileIO(1, "w", closefd=False)


def line(record: Record) -> bytes:
    second, fraction = divmod(record.at, 1.0)
    entry: dict[str, object] = {
        "time": f"{_second(second)}.{int(fraction * 1e3):03d}Z",
        "request_id": record.request_id,
        "method": _harmless(record.method[:32]),
        "path": _harmless(record.path[:_MOST_PATH]),
        "status": record.code,
        "duration_ms": round(record.seconds * 1e3, 3),
    }
    if record.infer_s:
        entry["queue_ms"] = round(record.queue_s * 1e3, 3)
        entry["infer_ms"] = round(record.infer_s * 1e3, 3)
    if record.batch_rows:
        entry["batch_size"] = record.batch_rows
    if record.model:
        entry["model"] = record.model
    if record.reason:
        entry["reason"] = record.reason
    if record.trace is not None:
        entry["trace_id"] = record.trace.trace_id
        entry["span_id"] = record.trace.span_id
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def _harmless(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    # Lone surrogates cannot be written as UTF-8.
    return text.translate(_UNSAFE).encode("utf-8", "backslashreplace").decode("utf-8")


@lru_cache(maxsize=4)
def _second(at: float) -> str:
    """UTC to the second; thousands of lines share it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
