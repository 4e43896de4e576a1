"""ONNX Runtime sessions, from bytes whose checksum was just verified.

Not promised: interrupting a run at once. The runtime looks for a wish to stop between the nodes of a graph;
one long kernel cannot be stopped, which is why runs live in processes that can be killed.
"""

import ctypes
import threading
from collections.abc import Callable, Mapping

import numpy as np
import onnxruntime as ort

from models.datatypes import DataType
from models.errors import InferenceFailed, OutOfMemory, RunTooLong
from models.runtimes.base import (
    Arrays,
    LoadOutOfMemory,
    Provider,
    ProviderMissing,
    SessionInfo,
    SessionOptions,
)
from models.runtimes.graph import Graph
from models.runtimes.onnxruntime.control import GRAPH_ID, NO_GRAPH, SHRINK, RunControl
from models.runtimes.onnxruntime.device import (
    HOST,
    DeviceRuns,
    Target,
    graph_sizes,
    is_bindable,
)
from models.runtimes.onnxruntime.errors import (
    is_other_shape,
    is_unshrinkable,
    refusal,
    translated,
)
from models.runtimes.onnxruntime.libraries import load_gpu_libraries, load_tensorrt_libraries
from models.runtimes.onnxruntime.options import add_weights, session_options_of
from models.runtimes.onnxruntime.providers import NAMES, Wish, chain_of
from models.runtimes.onnxruntime.shrinkage import Shrinkage
from models.runtimes.onnxruntime.signature import check_signature

_BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16


def open_session(graph: Graph, options: SessionOptions) -> "OnnxSession":
    """Raises ProviderMissing, GraphRefused or LoadOutOfMemory."""
    _check_wishes(graph, options)
    complaints = _loaded(options)
    sizes = graph_sizes(graph) if options.gpu.cuda_graphs and options.provider != "cpu" else ()
    wish = Wish(has_graphs=bool(sizes))
    while True:
        try:
            session = _create(graph, options, wish)
            break
        except Exception as error:  # whoever loads is told one kind
            # The runtime raises its own classes, UnicodeDecodeError and plain RuntimeError on damaged
            # graphs; the server goes on without this version.
            weaker = wish.weaker(str(error))
            if weaker is None:
                raise refusal(graph.label, error) from error
            wish = weaker
    check_started(session, options.provider, complaints)
    check_signature(session, graph)
    return OnnxSession(session, graph, options, sizes if wish.has_graphs else ())


def check_started(session: ort.InferenceSession, provider: Provider, complaints: str) -> None:
    """Raises ProviderMissing where the runtime went on without it. `complaints`: what its libraries' loader
    said."""
    if session.get_providers()[0] != NAMES[provider]:
        raise ProviderMissing(
            f"provider {provider!r} could not start on this machine: "
            f"{complaints or 'is there a GPU, and a driver that is new enough?'}"
        )


def check_available(provider: Provider) -> None:
    """Raises ProviderMissing where this build of the runtime does not have it."""
    available = ort.get_available_providers()
    if NAMES[provider] not in available:
        raise ProviderMissing(
            f"provider {provider!r} is not in this ONNX Runtime (it has: {', '.join(available)}); "
            "install the matching package or choose another --provider"
        )


def check_limit(label: str, size_bytes: int, limit_bytes: int) -> None:
    """Raises LoadOutOfMemory for weights beyond what a model may have on the GPU; 0: no limit."""
    if limit_bytes and size_bytes > limit_bytes:
        raise LoadOutOfMemory(
            f"{label}: its weights take {size_bytes:,} bytes of the {limit_bytes:,} that a model "
            "may have on the GPU; raise --gpu-memory-bytes or serve a smaller variant"
        )


def _loaded(options: SessionOptions) -> str:
    """The libraries that the provider needs; what is missing, in the loader's words."""
    if options.provider == "cpu":
        return ""
    missing = [load_gpu_libraries()]
    if options.provider == "tensorrt":
        missing.append(load_tensorrt_libraries())
    return "; ".join(filter(None, missing))


def _check_wishes(graph: Graph, options: SessionOptions) -> None:
    """What can be told before the runtime is asked."""
    check_available(options.provider)
    if options.compute != "fp32" and options.provider != "tensorrt":
        raise ProviderMissing(
            f"ONNX Runtime's provider {options.provider!r} computes what the graph says and cannot be "
            f"told {options.compute}; serve a variant with a graph of that precision"
        )
    if options.provider != "cpu":
        check_limit(graph.label, graph.size_bytes, options.gpu.memory_bytes)


def _create(graph: Graph, options: SessionOptions, wish: Wish) -> ort.InferenceSession:
    session_options = session_options_of(options)
    add_weights(session_options, graph.weights)
    providers = chain_of(graph, options, wish)
    return ort.InferenceSession(
        graph.model, session_options, providers=providers, enable_fallback=0
    )


class OnnxSession:
    """One session. `run` may be called from several threads; on a GPU they take turns."""

    def __init__(
        self,
        session: ort.InferenceSession,
        graph: Graph,
        options: SessionOptions,
        captured_sizes: tuple[int, ...] = (),
    ) -> None:
        self._session = session
        self._options = options
        self._outputs = [spec.name for spec in graph.outputs]
        self._control = RunControl()
        self._shrinkage = Shrinkage()
        specs = (*graph.inputs, *graph.outputs)
        # numpy has no bfloat16, so such tensors take the slower way through OrtValue.
        self._raw = {spec.name for spec in specs if spec.dtype is DataType.BFLOAT16}
        self._device: DeviceRuns | None = None
        self._turn = threading.Lock()
        self._arena = HOST.arena
        if options.provider != "cpu":
            target = Target("cuda", options.gpu.device_id)
            self._arena = target.arena
            if is_bindable(graph):
                self._device = DeviceRuns(session, graph, target, self._control, captured_sizes)
        self._captured = captured_sizes
        self._writes_into = (
            True  # until an output turns out to be of another shape than its manifest says
        )

    def describe(self) -> SessionInfo:
        details: dict[str, str] = {}
        if self._options.provider != "cpu":
            details["gpu"] = str(self._options.gpu.device_id)
            if self._options.gpu.cuda_graphs:
                sizes = ", ".join(map(str, self._captured))
                details["cuda_graphs"] = f"batches of {sizes}" if sizes else "none can be captured"
        provider = self._session.get_providers()[0]
        return SessionInfo("onnxruntime", provider, self._options.threads, details)

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        shrinks = self._is_shrink_due(inputs)
        device = self._device
        if device is None or not all(array.size for array in inputs.values()):
            return self._guarded(self._run_raw if self._raw else self._run_plain, inputs, shrinks)
        with self._turn:
            try:
                options = device.options(inputs, shrinks=shrinks)
                return self._guarded(device.run, inputs, shrinks, options)
            except OutOfMemory:
                device.release()
                raise
            except InferenceFailed:
                # Bound runs lose the kind of their error, and so whose fault it was: a plain run tells.
                return self._guarded(self._run_plain, inputs)

    def run_into(self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> bool:
        """On the CPU alone. False also where a run failed: it is `run` that tells why."""
        is_plain = self._options.provider == "cpu" and not self._raw and self._writes_into
        if not is_plain or any(array.dtype.hasobject for array in inputs.values()):
            return False

        def bound(given: Mapping[str, np.ndarray], options: ort.RunOptions) -> Arrays:
            return self._run_bound(given, options, outputs)

        try:
            self._guarded(bound, inputs, self._is_shrink_due(inputs))
        except InferenceFailed as error:
            self._writes_into = not is_other_shape(error)
            return False
        return True

    def terminate(self) -> None:
        self._control.stop()

    def close(self) -> None:
        """Release the weights; the session cannot be used afterwards."""
        if self._device is not None:
            self._device.close()
            self._device = None
        del self._session

    def _is_shrink_due(self, inputs: Mapping[str, np.ndarray]) -> bool:
        return self._shrinkage.is_due(sum(array.nbytes for array in inputs.values()))

    def _guarded(
        self,
        run: Callable[[Mapping[str, np.ndarray], ort.RunOptions], Arrays],
        inputs: Mapping[str, np.ndarray],
        shrinks: bool = False,
        options: ort.RunOptions | None = None,
    ) -> Arrays:
        """Raises our errors alone."""
        options = options or self._plain_options(shrinks)
        try:
            return run(inputs, options)
        except Exception as error:  # its classes share no base; the caller gets ours
            if options.terminate:
                raise RunTooLong(
                    "the model ran for too long on this input and was stopped"
                ) from error
            if shrinks and is_unshrinkable(error):
                self._shrinkage.give_up()
                return self._guarded(run, inputs)
            ours = translated(error)
            if isinstance(ours, OutOfMemory):
                self._shrinkage.ran_out()
            raise ours from error

    def _plain_options(self, shrinks: bool) -> ort.RunOptions:
        entries = [(SHRINK, self._arena)] if shrinks and not self._captured else []
        if self._captured:
            entries.append((GRAPH_ID, NO_GRAPH))
        return self._control.options(*entries)

    def _run_plain(self, inputs: Mapping[str, np.ndarray], options: ort.RunOptions) -> Arrays:
        answers = self._session.run(self._outputs, inputs, options)
        return dict(zip(self._outputs, answers, strict=True))

    def _run_bound(
        self,
        inputs: Mapping[str, np.ndarray],
        options: ort.RunOptions,
        outputs: Mapping[str, np.ndarray],
    ) -> Arrays:
        binding = self._session.io_binding()
        for name, array in inputs.items():
            value = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
            binding.bind_ortvalue_input(name, value)
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))
        self._session.run_with_iobinding(binding, options)
        return dict(outputs)

    def _run_raw(self, inputs: Mapping[str, np.ndarray], options: ort.RunOptions) -> Arrays:
        values = {name: self._to_value(name, array) for name, array in inputs.items()}
        answers = self._session.run_with_ort_values(self._outputs, values, options)
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
