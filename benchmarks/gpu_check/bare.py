"""The bare session: what the runtime does by itself, told what ours tell it, and nothing around it."""

import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime

from models.runtimes.base import SessionOptions
from models.runtimes.graph import Graph
from models.runtimes.onnxruntime.libraries import load_gpu_libraries
from models.runtimes.onnxruntime.options import session_options_of
from models.runtimes.onnxruntime.providers import Wish, chain_of

_TRIAL_S = 0.8

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Subject:
    """A model to be measured: `rows` of `item` make one request, `output` is asked for."""

    name: str
    rows: int
    item: Arrays
    output: str

    def batch(self, size: int) -> dict[str, np.ndarray]:
        return {name: np.repeat(array, size, axis=0) for name, array in self.item.items()}


@dataclass(frozen=True)
class Way:
    """Items per run, and threads that run."""

    batch: int
    threads: int

    def __str__(self) -> str:
        return f"batches of {self.batch}, {self.threads} thread{'s' * (self.threads > 1)}"


class BareSession:
    """`session.run` with numpy arrays."""

    def __init__(self, graph: Graph, options: SessionOptions) -> None:
        if options.provider != "cpu":
            load_gpu_libraries()
        self._session = onnxruntime.InferenceSession(
            graph.model, session_options_of(options), providers=chain_of(graph, options, Wish())
        )
        self._outputs = [spec.name for spec in graph.outputs]

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        answers = self._session.run(self._outputs, dict(inputs))
        return dict(zip(self._outputs, answers, strict=True))

    def rate(self, subject: Subject, way: Way, seconds: float) -> float:
        """Items per second of a loop in each thread; the first run, which plans memory, does not count."""
        inputs = subject.batch(way.batch)
        self.run(inputs)
        rates: list[float] = []

        def loop() -> None:
            began = now = time.perf_counter()
            runs = 0
            while now - began < seconds:
                self.run(inputs)
                runs, now = runs + 1, time.perf_counter()
            rates.append(runs * way.batch / (now - began))

        running = [threading.Thread(target=loop) for _ in range(way.threads)]
        for one in running:
            one.start()
        for one in running:
            one.join()
        return sum(rates)

    def best(self, subject: Subject, batches: tuple[int, ...], threads: tuple[int, ...]) -> Way:
        """The way with the highest rate, each tried once."""
        ways = [Way(*way) for way in itertools.product(batches, threads)]
        return max(ways, key=lambda way: self.rate(subject, way, _TRIAL_S))
