"""One line of JSON per request, whatever the request says."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.observability.access_log import AccessLog, line
from service.observability.records import Record
from service.observability.trace_context import new_trace

ROOT = Path(__file__).parents[3]
RECORD = Record(1_700_000_000.25, "id-1", "POST", "/v2/infer", 200, 0.0125)


def read(record: Record) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(line(record))
    return entry


def test_a_line_says_what_happened() -> None:
    trace = new_trace(is_sampled=True)
    entry = read(
        RECORD._replace(
            model="digits/3", reason="queue_full", trace=trace, queue_s=0.001, infer_s=0.002,
            batch_rows=4,
        )
    )  # fmt: skip
    assert entry == {
        "time": "2023-11-14T22:13:20.250Z",
        "request_id": "id-1",
        "method": "POST",
        "path": "/v2/infer",
        "status": 200,
        "duration_ms": 12.5,
        "queue_ms": 1.0,
        "infer_ms": 2.0,
        "batch_size": 4,
        "model": "digits/3",
        "reason": "queue_full",
        "trace_id": trace.trace_id,
        "span_id": trace.span_id,
    }


@pytest.mark.parametrize(
    "text",
    [
        '/a"\n{"status": 500}',
        "/a\r\nGET /fake",
        "/\x1b[31mred",
        "/\u2028\u2029\x85next",
        "/\x9b31m",
        "/\ud800 lone",
        "/\x00\x7f",
        "/\u202etxt.exe",
    ],
)
def test_no_path_breaks_out_of_its_line(text: str) -> None:
    written = line(RECORD._replace(path=text, method=text))
    assert written.count("\n") == 1
    assert len(written.encode().decode().splitlines()) == 1
    assert all(character.isprintable() for character in written.rstrip("\n"))
    assert json.loads(written)["status"] == 200


def test_a_giant_path_is_cut() -> None:
    assert len(line(RECORD._replace(path="/" + "\u2028" * 10**6))) < 4000


WRITER = """
import sys
from service.observability.access_log import line, standard_output
from service.observability.records import Record
record = Record(0.0, sys.argv[1] * 100, "POST", "/" * 200, 200, 0.1)
for _ in range(20):
    standard_output().write([line(record)] * 500)
"""


def test_lines_of_several_processes_in_one_full_pipe_stay_whole() -> None:
    readable, writable = os.pipe()
    with open(readable, "rb") as stream:
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, name], stdout=writable, cwd=ROOT)
            for name in "ab"
        ]
        os.close(writable)
        names = [json.loads(text)["request_id"] for text in stream]
    assert all(writer.wait() == 0 for writer in writers)
    assert sorted(names) == ["a" * 100] * 10_000 + ["b" * 100] * 10_000


class Sipping(io.BytesIO):
    """Takes three bytes at a time, and nothing every other time."""

    is_full = False

    def write(self, data: Any, /) -> int | None:  # type: ignore[override]
        self.is_full = not self.is_full
        return None if self.is_full else super().write(data[:300])


def test_a_pipe_that_takes_a_part_gets_the_rest() -> None:
    stream = Sipping()
    AccessLog(stream).write([line(RECORD)] * 5)
    assert stream.getvalue().decode() == line(RECORD) * 5


def test_a_batched_line_says_the_same_as_one_with_a_trace_but_for_the_trace() -> None:
    record = RECORD._replace(
        path="/50%25s", model="50%s/1", queue_s=2e-3, infer_s=0.1, batch_rows=3
    )
    plain, traced = read(record), read(record._replace(trace=new_trace(is_sampled=True)))
    assert traced.keys() - plain.keys() == {"trace_id", "span_id"}
    assert all(traced[key] == value for key, value in plain.items())
