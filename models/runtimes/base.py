"""What a runtime offers: open a bundle's graph, describe it, run it, close it.

Runs happen in a worker. Arrays carry their batch axis; STRING tensors are object arrays of str, BFLOAT16
travels as uint16 words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from models.errors import BundleError
from models.runtimes.gpu import ANY_GPU, GpuOptions

Arrays = dict[str, np.ndarray]
Provider = Literal["cpu", "cuda", "tensorrt"]
Compute = Literal["fp32", "bf16", "fp16"]
"""What a runtime computes in where the graph says float; the graph and its tensors stay as they are."""


class GraphRefused(BundleError):
    """The runtime does not load the graph, or the graph is not what the manifest says."""

    reason = "graph"


class ProviderMissing(BundleError):
    """The wanted execution provider is not there; falling back silently would hide a tenfold cost."""

    reason = "provider_missing"


class RuntimeMissing(ProviderMissing):
    """The wanted runtime is not installed."""

    reason = "runtime_missing"


class LoadTimeout(BundleError):
    """Opening the graph or its exam took longer than it may."""

    reason = "timeout"


class LoadOutOfMemory(BundleError):
    """Opening the graph or its exam wanted more memory than its size explains."""

    reason = "oom"


class LoadCrashed(BundleError):
    """Opening the graph or its exam ended the process that tried."""

    reason = "crash"


@dataclass(frozen=True)
class SessionOptions:
    """How a graph is to be run, whatever graph it is. `threads` compute one run; `streams` is how many runs
    a session takes at once, where its runtime shares weights between them (OpenVINO). `gpu` is for
    providers that have one."""

    threads: int = 1
    provider: Provider = "cpu"
    compute: Compute = "fp32"
    gpu: GpuOptions = ANY_GPU
    streams: int = 1


@dataclass(frozen=True)
class SessionInfo:
    """`provider`: the one that is really in use. `details`: what else an operator may want to know, in
    words."""

    runtime: str
    provider: str
    threads: int
    details: Mapping[str, str] = field(default_factory=dict)


class Session(Protocol):
    def describe(self) -> SessionInfo: ...

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """All outputs of the manifest. Raises InputRefused, InferenceFailed, OutOfMemory, DeviceLost or
        RunTooLong."""

    def terminate(self) -> None:
        """From another thread: let the current run end with RunTooLong, as soon as the runtime listens."""

    def close(self) -> None: ...


@runtime_checkable
class RunsInto(Protocol):
    """A session that can leave its outputs where the caller wants them, which spares copies."""

    def run_into(self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> bool:
        """As `run`, into contiguous arrays of the outputs' types and shapes. False: it cannot, and they
        hold nothing."""
