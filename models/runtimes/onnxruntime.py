"""ONNX Runtime sessions, from bytes whose checksum was just verified.

Not promised: interrupting a run at once. The runtime looks for a wish to stop between the nodes of a graph;
one long kernel cannot be stopped, which is why runs live in processes that can be killed.
"""

import contextlib
import ctypes
import functools
import io
from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from models.datatypes import BY_ONNX, DataType
from models.errors import InferenceFailed, InputRefused, RunTooLong
from models.manifest import TensorSpec
from models.runtimes.base import Arrays, GraphRefused, ProviderMissing, SessionInfo, SessionOptions
from models.runtimes.graph import Graph

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_SILENT = 4  # severity "fatal": failures are reported through our own errors, once
_BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16


def open_session(graph: Graph, options: SessionOptions) -> "OnnxSession":
    """Raises ProviderMissing or GraphRefused."""
    wanted = _PROVIDERS[options.provider]
    available = ort.get_available_providers()
    if wanted not in available:
        raise ProviderMissing(
            f"provider {options.provider!r} is not in this ONNX Runtime (it has: "
            f"{', '.join(available)}); install the matching package or choose another --provider"
        )
    complaints = "" if options.provider == "cpu" else load_gpu_libraries()
    session_options = session_options_of(options)
    add_weights(session_options, graph.weights)
    providers = [wanted] if options.provider == "cpu" else [wanted, _PROVIDERS["cpu"]]
    try:
        session = ort.InferenceSession(
            graph.model, session_options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # whoever loads is told one kind
        # The runtime raises its own classes, UnicodeDecodeError and plain RuntimeError on damaged
        # graphs; the server goes on without this version.
        raise GraphRefused(f"{graph.label}: ONNX Runtime: {_first_line(error)}") from error
    if session.get_providers()[0] != wanted:
        raise ProviderMissing(
            f"provider {options.provider!r} could not start on this machine: "
            f"{complaints or 'is there a GPU, and a driver that is new enough?'}"
        )
    _check_signature(session, graph)
    return OnnxSession(session, graph, options)


@functools.cache
def load_gpu_libraries() -> str:
    """NVIDIA's libraries, from their Python packages or the system; returns what could not be loaded.

    The loader does not look into Python packages by itself. The runtime's own function does, and prints
    what fails to standard output, which belongs to the access log.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        ort.preload_dlls()
    return "; ".join(line.strip() for line in said.getvalue().splitlines() if line.strip())


class OnnxSession:
    """One session. `run` may be called from several threads."""

    def __init__(
        self, session: ort.InferenceSession, graph: Graph, options: SessionOptions
    ) -> None:
        self._session = session
        self._options = options
        self._outputs = [spec.name for spec in graph.outputs]
        self._run_options = _quiet_run()
        specs = (*graph.inputs, *graph.outputs)
        # numpy has no bfloat16, so such tensors take the slower way through OrtValue.
        self._raw = {spec.name for spec in specs if spec.dtype is DataType.BFLOAT16}

    def describe(self) -> SessionInfo:
        return SessionInfo("onnxruntime", self._session.get_providers()[0], self._options.threads)

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        if self._run_options.terminate:  # a wish that came when its run had just ended
            self._run_options = _quiet_run()
        try:
            if self._raw:
                return self._run_raw(inputs)
            answers = self._session.run(self._outputs, inputs, self._run_options)
        except Exception as error:  # its classes share no base; the caller gets ours
            if self._run_options.terminate:
                raise RunTooLong(
                    "the model ran for too long on this input and was stopped"
                ) from error
            raise _translate(error) from error
        return dict(zip(self._outputs, answers, strict=True))

    def terminate(self) -> None:
        self._run_options.terminate = True

    def close(self) -> None:
        """Release the weights; the session cannot be used afterwards."""
        del self._session

    def _run_raw(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        values = {name: self._to_value(name, array) for name, array in inputs.items()}
        answers = self._session.run_with_ort_values(self._outputs, values, self._run_options)
        named = zip(self._outputs, answers, strict=True)
        return {
            name: _from_value(value) if name in self._raw else value.numpy()
            for name, value in named
        }

    def _to_value(self, name: str, array: np.ndarray) -> ort.OrtValue:
        if name in self._raw:
            return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, _BFLOAT16)
        return ort.OrtValue.ortvalue_from_numpy(array)


def _from_value(value: ort.OrtValue) -> np.ndarray:
    """A copy of a bfloat16 tensor's words."""
    size_bytes = value.tensor_size_in_bytes()
    memory = (ctypes.c_char * size_bytes).from_address(value.data_ptr())
    return np.frombuffer(bytes(memory), np.uint16).reshape(value.shape())


def _quiet_run() -> ort.RunOptions:
    run_options = ort.RunOptions()
    run_options.log_severity_level = _SILENT
    return run_options


def session_options_of(options: SessionOptions) -> ort.SessionOptions:
    """Threads as planned, no spinning, no banners."""
    session_options = ort.SessionOptions()
    session_options.intra_op_num_threads = options.threads
    session_options.inter_op_num_threads = 1
    session_options.log_severity_level = _SILENT
    # Spinning threads burn the cores that the front end needs to parse the next request.
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return session_options


def add_weights(session_options: ort.SessionOptions, weights: Mapping[str, bytes]) -> None:
    """Hand over external weights as bytes, so that the runtime opens no path itself.

    It keeps pointers into them until the session exists; the caller keeps them alive until then.
    """
    if weights:
        session_options.add_external_initializers_from_files_in_memory(
            list(weights), list(weights.values()), [len(part) for part in weights.values()]
        )


def _check_signature(session: ort.InferenceSession, graph: Graph) -> None:
    """Names and types of the graph must be the manifest's; a mismatch would surface as bad answers."""
    for side, nodes, specs in (
        ("input", session.get_inputs(), graph.inputs),
        ("output", session.get_outputs(), graph.outputs),
    ):
        found = {node.name: node.type for node in nodes}
        _check_side(side, found, specs, complete=side == "input")


def _check_side(
    side: str, found: dict[str, str], specs: tuple[TensorSpec, ...], *, complete: bool
) -> None:
    for spec in specs:
        wanted = BY_ONNX[spec.dtype.value].ort
        if found.get(spec.name) != wanted:
            has = found.get(spec.name, "nothing of that name")
            raise GraphRefused(
                f"{side} {spec.name!r} is {wanted} in the manifest, {has} in the graph"
            )
    unnamed = sorted(set(found) - {spec.name for spec in specs})
    if complete and unnamed:
        raise GraphRefused(
            f"the graph needs {side} {unnamed[0]!r}, which the manifest does not name"
        )


def _translate(error: Exception) -> InputRefused | InferenceFailed:
    """InvalidArgument is the caller's value (an index out of range, a shape that does not fit)."""
    if type(error).__name__ == "InvalidArgument" or isinstance(error, (ValueError, TypeError)):
        status = _first_line(error).rpartition("Status Message: ")[2]
        return InputRefused(f"the model refuses this input: {status[:300]}")
    return InferenceFailed("the model failed on this input", detail=_first_line(error))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]
