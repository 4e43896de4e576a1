"""Whatever happens to the place records are written to, nobody waits for it."""

import threading
import time
from collections.abc import Sequence

from service.observability.records import Record, Recorder

RECORD = Record(0.0, "id", "GET", "/", 200, 0.1)


def test_records_are_written_in_order() -> None:
    written: list[Record] = []
    recorder = Recorder("test", written.extend)
    records = [RECORD._replace(code=code) for code in range(100)]
    recorder.put(records[:50])
    recorder.put(records[50:])
    assert recorder.flush()
    assert written == records


def test_a_stalled_reader_costs_records_not_time() -> None:
    release = threading.Event()
    written: list[Record] = []

    def stalled(records: Sequence[Record]) -> None:
        release.wait()
        written.extend(records)

    recorder = Recorder("test", stalled, most_waiting=10)
    began = time.perf_counter()
    for _ in range(15):
        recorder.put([RECORD])
    assert not recorder.flush(limit_s=0.05)
    assert time.perf_counter() - began < 5
    assert recorder.dropped == 5
    release.set()
    assert recorder.flush()
    assert len(written) == 10


def test_a_failure_is_counted_and_the_next_records_are_tried_again() -> None:
    written: list[Record] = []
    is_full = True

    def write(records: Sequence[Record]) -> None:
        if is_full:
            raise OSError(28, "No space left on device")
        written.extend(records)

    recorder = Recorder("test", write)
    recorder.put([RECORD, RECORD])
    assert recorder.flush()
    is_full = False
    recorder.put([RECORD])
    assert recorder.flush()
    assert (recorder.dropped, len(written)) == (2, 1)
