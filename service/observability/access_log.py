"""The access log: one JSON object a line and request, on standard output.

Nothing of a request's body, query or headers but its id is written. JSON escapes what could end a line
(the Unicode line ends as well), paths are cut, so that a line stays one line whatever a caller sends.
"""

import fcntl
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

import orjson

from service.observability.records import Record

_MOST_TEXT = 256
_PAUSE_S = 0.05
# Some readers of logs take these for line ends, and terminals obey C1 codes; orjson leaves them as they are.
_UNSAFE = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0xFEFF)}


class Stream(Protocol):
    """Unbuffered: `write` may take a part, or nothing (None) of a non-blocking pipe."""

    def write(self, data: memoryview, /) -> int | None: ...


class AccessLog:
    """Called by its own thread only; may block as long as the stream does. `turn` keeps other processes
    that write to the same stream out meanwhile."""

    def __init__(
        self, stream: Stream, turn: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._stream = stream
        self._turn = turn

    def write(self, lines: Sequence[str]) -> None:
        """Raises OSError (disk full) or ValueError (closed)."""
        rest = memoryview("".join(lines).encode())
        with self._turn():
            while rest:
                taken = self._stream.write(rest)
                if taken is None:
                    time.sleep(_PAUSE_S)
                else:
                    rest = rest[taken:]


def standard_output() -> AccessLog:
    """Shared with the other front ends: a pipe that is full takes a part of what is written, and another's
    lines would get in between."""
    # Not sys.stdout: a thread that is stuck in its buffer's lock would abort the interpreter's exit.
    stream = io.FileIO(1, "w", closefd=False)

    @contextmanager
    def turn() -> Iterator[None]:
        is_locked = False
        with suppress(OSError):  # what cannot be locked is written all the same
            fcntl.lockf(stream, fcntl.LOCK_EX)
            is_locked = True
        try:
            yield
        finally:
            if is_locked:
                fcntl.lockf(stream, fcntl.LOCK_UN)

    return AccessLog(stream, turn)


def line(record: Record) -> str:
    """Written out by hand, because at the front end's rates a dictionary for an encoder would cost as much
    as the rest of the request's bookkeeping. What callers send goes through the encoder, but for the
    request's id, which has none but harmless characters."""
    (at, request_id, method, path, code, seconds, _, model, reason, trace,
     queue_s, infer_s, batch_rows) = record  # fmt: skip
    second = int(at)
    if batch_rows and trace is None:
        # Nearly all lines at high rates; one application of a ready form takes half as long.
        return _form(second, method, path, code, model, reason) % (
            (at - second) * 1e3, request_id, seconds * 1e3, queue_s * 1e3, infer_s * 1e3, batch_rows,
        )  # fmt: skip
    run = traced = ""
    if infer_s:
        run = f',"queue_ms":{queue_s * 1e3:.3f},"infer_ms":{infer_s * 1e3:.3f}'
        if batch_rows:
            run += f',"batch_size":{batch_rows}'
    if trace is not None:
        traced = f',"trace_id":"{trace.trace_id}","span_id":"{trace.span_id}"'
    return (
        f'{{"time":"{_second(second)}.{int((at - second) * 1e3):03d}Z","request_id":"{request_id}",'
        f'"duration_ms":{seconds * 1e3:.3f}{run}{_what(method, path, code, model, reason)}{traced}}}\n'
    )


@lru_cache(maxsize=1024)
def _form(second: int, method: str, path: str, code: int, model: str, reason: str) -> str:
    """What the lines of one second about batched requests of a kind have in common."""
    what = _what(method, path, code, model, reason).replace("%", "%%")
    return (
        f'{{"time":"{_second(second)}.%03dZ","request_id":"%s","duration_ms":%.3f,'
        f'"queue_ms":%.3f,"infer_ms":%.3f,"batch_size":%d{what}}}\n'
    )


@lru_cache(maxsize=1024)
def _what(method: str, path: str, code: int, model: str, reason: str) -> str:
    """What many requests have in common."""
    text = f',"method":{_quoted(method)},"path":{_quoted(path)},"status":{code}'
    if model:
        text += f',"model":{_quoted(model)}'
    return f'{text},"reason":{_quoted(reason)}' if reason else text


def _quoted(text: str) -> str:
    """As JSON, cut, without anything that ends a line or moves a cursor."""
    text = text[:_MOST_TEXT]
    if not (text.isascii() and text.isprintable()):
        # Lone surrogates cannot be written as UTF-8.
        text = text.translate(_UNSAFE).encode("utf-8", "backslashreplace").decode("utf-8")
    return orjson.dumps(text).decode()


@lru_cache(maxsize=4)
def _second(at: float) -> str:
    """UTC to the second; thousands of lines share it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
