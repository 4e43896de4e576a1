"""The limit: `session.run` in a loop, in a process without a server, fed with arrays that are there.

A child process that reads one JSON order per line and answers with one JSON line:
`{"sessions": 2, "threads": 1, "batch": 4, "seconds": 3.0}` → `{"rate": items/s, "p50_ms": of one run}`.
Each session runs in a thread of its own (ONNX Runtime lets go of Python's lock while it computes);
sessions stay loaded between orders. Knows nothing of the server.
"""

import itertools
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class Order:
    """How to run: so many sessions of so many threads each, items per run, for how long."""

    sessions: int
    threads: int
    batch: int
    seconds: float


@dataclass
class Loops:
    """`feeds`: inputs of single items, asked in turn whichever session is free."""

    model: Path
    feeds: list[Feed]
    _open: dict[tuple[int, int], Any] = field(default_factory=dict)

    def run(self, order: Order) -> dict[str, float]:
        sessions = [self._session(order.threads, index) for index in range(order.sessions)]
        batches = itertools.cycle(self._batches(order.batch))
        turn = threading.Lock()
        ends: list[tuple[int, float]] = []
        took_s: list[float] = []
        for session in sessions:
            session.run(None, next(batches))  # the first run plans memory
        began = time.perf_counter()

        def loop(session: Any) -> None:
            runs, now = 0, began
            while now - began < order.seconds:
                with turn:
                    feed = next(batches)
                session.run(None, feed)
                runs, before, now = runs + 1, now, time.perf_counter()
                took_s.append(now - before)
            ends.append((runs, now))

        threads = [threading.Thread(target=loop, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = sum(runs / (end - began) for runs, end in ends) * order.batch
        return {"rate": rate, "p50_ms": median(took_s) * 1e3}

    def _session(self, threads: int, index: int) -> Any:
        if (threads, index) not in self._open:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            self._open[threads, index] = onnxruntime.InferenceSession(
                str(self.model), options, providers=["CPUExecutionProvider"]
            )
        return self._open[threads, index]

    def _batches(self, size: int) -> list[Feed]:
        if size == 1:
            return self.feeds
        picked = list(itertools.islice(itertools.cycle(self.feeds), size))
        return [{name: np.concatenate([one[name] for one in picked]) for name in picked[0]}]


def load_feeds(path: Path) -> list[Feed]:
    """From an .npz whose names are `<number>/<input>`."""
    feeds: dict[int, Feed] = {}
    with np.load(path) as arrays:
        for name in arrays.files:
            number, _, of = name.partition("/")
            feeds.setdefault(int(number), {})[of] = arrays[name]
    return [feeds[number] for number in sorted(feeds)]


def main(model: str, feeds: str) -> None:
    loops = Loops(Path(model), load_feeds(Path(feeds)))
    for line in sys.stdin:
        print(json.dumps(loops.run(Order(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
