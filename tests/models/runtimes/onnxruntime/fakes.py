"""As much of ONNX Runtime's surface as a GPU would be asked through, and what a GPU would punish.

A session doubles: y = 2·x. It remembers what it was told, refuses what the real one refuses with the real
one's words, and fails the test where the real one would read freed or wrong memory.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
import pytest

from models.runtimes.onnxruntime import load_gpu_libraries

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
OUT_OF_MEMORY = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
    "Name:'conv' Status Message: bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, "
    "bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 4585490524"
)
DEVICE_LOST = (
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=h ; file=f.cc ; "
    "line=1 ; expr=cudaStreamSynchronize(stream); "
)
REFUSED = (
    "Non-zero status code returned while running Gather node. Name:'' Status Message: indices element out "
    "of data bounds, idx=9 must be within the inclusive range [-4,3]"
)
NO_CAPTURE = (
    "[ONNXRuntimeError] : 1 : FAIL : This session cannot use the graph capture feature as requested by the "
    "user  as all compute graph nodes have not been partitioned to the CUDAExecutionProvider"
)
NO_PROFILE = (
    "[ONNXRuntimeError] : 1 : FAIL : User needs to provide all the dynamic shape inputs with associated "
    "profiles if they want to explicitly set profiles through provider options. Following input(s) has no "
    "associated shape profiles provided: inner"
)


class InvalidArgument(Exception):
    """As the runtime's own is called."""


class Place(NamedTuple):
    name: str


class Node(NamedTuple):
    name: str
    type: str


class FakeValue:
    """A buffer at a fixed address."""

    def __init__(self, shape: Sequence[int], kind: Any, device: str, number: int) -> None:
        self.array = np.zeros(shape, kind)
        self.device, self.number = device, number
        self.updates = 0

    def update_inplace(self, array: np.ndarray) -> None:
        if array.size != self.array.size:
            raise RuntimeError(
                "The input size of numpy arrays does not match the size of the OrtValue."
            )
        self.array[...] = array
        self.updates += 1

    def numpy(self) -> np.ndarray:
        return self.array.copy()


class FakeBinding:
    def __init__(self) -> None:
        self.inputs: dict[str, FakeValue] = {}
        self.outputs: dict[str, FakeValue | None] = {}
        self.made: list[np.ndarray] = []

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: FakeValue) -> None:
        self.outputs[name] = value

    def bind_output(self, name: str, device: str) -> None:
        assert device == "cpu"
        self.outputs[name] = None

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        return self.made


class FakeSession:
    """`told`: the providers that it was opened with. `runs`: (rows, graph id, shrunk arena) of each run."""

    def __init__(self, gpu: "FakeGpu", providers: Sequence[Any]) -> None:
        self._gpu, self.told = gpu, list(providers)
        self.runs: list[tuple[int, str, str]] = []
        self.values: list[FakeValue] = []
        self._captured: dict[str, tuple[FakeValue, FakeValue]] = {}

    def get_providers(self) -> list[str]:
        names = [one if isinstance(one, str) else one[0] for one in self.told]
        return names if self._gpu.works else [CPU]

    def get_inputs(self) -> list[Node]:
        return [Node("x", "tensor(float)")]

    def get_outputs(self) -> list[Node]:
        return [Node("y", "tensor(float)")]

    def get_input_memory_infos(self) -> list[Place]:
        return [Place(self._gpu.input_place)]

    def io_binding(self) -> FakeBinding:
        return FakeBinding()

    def create_ortvalue_from_shape_and_type(
        self, shape: Sequence[int], kind: Any, device: str, number: int
    ) -> FakeValue:
        value = FakeValue(shape, kind, device, number)
        self.values.append(value)
        return value

    def run(
        self, names: Sequence[str], feeds: dict[str, np.ndarray], options: ort.RunOptions
    ) -> list[np.ndarray]:
        """Errors have their kind here, and lose it in a bound run."""
        assert names == ["y"]
        x = feeds["x"]
        self.runs.append((len(x), _entry(options, "gpu_graph_id"), "plain"))
        if self._gpu.refuses:
            raise InvalidArgument(f"[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : {REFUSED}")
        return [2 * x]

    def run_with_iobinding(self, binding: FakeBinding, options: ort.RunOptions) -> None:
        graph, shrunk = (
            _entry(options, "gpu_graph_id"),
            _entry(options, "memory.enable_memory_arena_shrinkage"),
        )
        x, y = binding.inputs["x"], binding.outputs["y"]
        self.runs.append((len(x.array), graph, shrunk))
        if self._gpu.refuses:
            raise RuntimeError(f"Error in execution: {REFUSED}")
        self._gpu.check(
            len(x.array), self.options_of(CUDA), shrunk, has_captured=bool(self._captured)
        )
        if y is None:
            binding.made = [2 * x.array]
            return
        if self.options_of(CUDA)["enable_cuda_graph"] == "1" and graph != "-1":
            # A replay reads and writes where the capture did, whatever is bound now.
            x, y = self._captured.setdefault(graph, (x, y))
            assert (x, y) == (binding.inputs["x"], binding.outputs["y"]), (
                "a graph's buffers have moved"
            )
        y.array[...] = 2 * x.array

    def options_of(self, provider: str) -> dict[str, str]:
        found = [one[1] for one in self.told if not isinstance(one, str) and one[0] == provider]
        return dict(found[0]) if found else {}


class FakeGpu:
    """A machine with one GPU, in place of the runtime. `most_rows` fit into its memory; `complaints` are
    what sessions are refused with, in turn."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.works = True
        self.most_rows = 1 << 20
        self.fails_with = ""
        self.refuses = False
        self.shrinks = True
        self.input_place = "Cuda"
        self.complaints: list[str] = []
        self.sessions: list[FakeSession] = []
        load_gpu_libraries.cache_clear()
        patch.setattr(ort, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
        patch.setattr(ort, "preload_dlls", lambda: None)
        patch.setattr(ort, "InferenceSession", self._open)

    def _open(
        self,
        model: bytes,
        options: ort.SessionOptions,
        *,
        providers: Sequence[Any],
        enable_fallback: int,
    ) -> FakeSession:
        assert model
        assert options.log_severity_level == 4
        assert enable_fallback == 0, "falling back to the CPU would hide a tenfold cost"
        session = FakeSession(self, providers)
        self.sessions.append(session)
        if self.complaints:
            raise RuntimeError(self.complaints.pop(0))
        return session

    def check(self, rows: int, told: dict[str, str], shrunk: str, *, has_captured: bool) -> None:
        if shrunk:
            assert not has_captured, "a captured graph works in memory that was given back"
            if not self.shrinks:
                raise RuntimeError(
                    "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Did not find an arena based allocator "
                    f"registered for device-id combination in the memory arena shrink list: {shrunk}"
                )
            assert shrunk == f"gpu:{told['device_id']}"
        if self.fails_with:
            raise RuntimeError(self.fails_with)
        if rows > self.most_rows:
            raise RuntimeError(OUT_OF_MEMORY)


def _entry(options: ort.RunOptions, key: str) -> str:
    try:
        return str(options.get_run_config_entry(key))
    except RuntimeError:
        return ""
