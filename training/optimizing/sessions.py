"""Graphs opened as the server opens them: through `models.runtimes`, as bytes, by a target's settings."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.cgroup import usable_cores
from models.runtimes import open_session
from models.runtimes.base import Session, SessionOptions
from models.runtimes.graph import Graph
from training.optimizing.subject import Subject
from training.optimizing.targets import Target
from training.work import Array, Arrays, Predict

REFERENCE = Target("onnxruntime", "fp32", "the graph as it was exported")


@dataclass(frozen=True)
class Opened:
    """A target's graph, ready to be asked."""

    predict: Predict
    session: Session | None = None


@contextmanager
def opened(subject: Subject, target: Target, threads: int = 0) -> Iterator[Opened]:
    """Open a target's graph with `threads` (0: every core) and close it at the end. Raises BundleError."""
    graph = subject.folder / target.file if target.file else subject.graph
    if (predict := subject.own_predict(graph)) is not None:
        yield Opened(predict)
        return
    session = session_of(subject, target, graph, threads)
    try:
        yield Opened(predict_of(session), session)
    finally:
        session.close()


def session_of(subject: Subject, target: Target, graph: Path, threads: int = 0) -> Session:
    """A session of the server's own kind over a file. Raises BundleError."""
    options = SessionOptions(threads or cores(), target.provider, target.compute)
    return open_session(
        target.runtime, Graph.in_folder(graph, subject.inputs, subject.outputs), options
    )


def predict_of(session: Session) -> Predict:
    def predict(inputs: Mapping[str, Array]) -> Arrays:
        return session.run(inputs)

    return predict


def cores() -> int:
    """Whole cores that this process may use at once, at least one."""
    return max(1, math.floor(usable_cores()))
