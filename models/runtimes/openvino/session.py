"""OpenVINO sessions on the CPU, from bytes whose checksum was just verified.

Not promised: interrupting a run at once. The runtime looks for a wish to stop between the nodes of a graph,
not inside a loop or a long kernel, which is why runs live in processes that can be killed.
"""

from collections.abc import Mapping
from queue import SimpleQueue

import numpy as np
import openvino as ov

from models.datatypes import DataType
from models.errors import BundleError
from models.manifest import TensorSpec
from models.runtimes.base import (
    Arrays,
    Compute,
    GraphRefused,
    ProviderMissing,
    SessionInfo,
    SessionOptions,
)
from models.runtimes.graph import Graph
from models.runtimes.openvino.errors import refusal, translated
from models.runtimes.openvino.external import with_weights_in_memory
from models.runtimes.openvino.inputs import InputCheck
from models.runtimes.openvino.library import DEVICE, capabilities, core, read
from models.runtimes.openvino.operators import check_operators
from models.runtimes.openvino.ranges import ranges_of
from models.runtimes.signature import check_signature

_PRECISIONS: dict[Compute, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_NATIVE: dict[Compute, str] = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}
_REFUSED = {
    DataType.STRING: "texts",  # 2026.4.1 aborts the process when such a tensor is freed
    DataType.DOUBLE: "float64, which it computes in float32",
    DataType.UINT64: "uint64, which it computes in 32 bits",
}
_CACHED_KERNELS = 1024
"""Kernels remembered for sizes that have been seen, so that many sizes do not fill the memory. The figures
behind the number are in docs/runtimes.md."""


def open_session(graph: Graph, options: SessionOptions) -> "OpenVinoSession":
    """Raises ProviderMissing, GraphRefused or LoadOutOfMemory."""
    _check_wishes(graph, options)
    try:
        check_operators(graph.model)
        model = read(with_weights_in_memory(graph.model, graph.weights))
        check_signature(graph, _types(model.inputs, graph), _types(model.outputs, graph))
        check = InputCheck(graph.inputs, ranges_of(model, graph.inputs))
        compiled = core().compile_model(model, DEVICE, _config(options))
    except BundleError as error:
        raise GraphRefused(f"{graph.label}: {error.message}") from error
    except Exception as error:  # its classes share no base; whoever loads is told one kind
        raise refusal(graph.label, error) from error
    _check_precision(compiled, options)
    return OpenVinoSession(compiled, graph, options, check)


class OpenVinoSession:
    """One compiled graph. `run` may be called from several threads; as many as there are streams run at
    once, the others wait."""

    def __init__(
        self, compiled: ov.CompiledModel, graph: Graph, options: SessionOptions, check: InputCheck
    ) -> None:
        self._compiled = compiled
        self._options = options
        self._check = check
        self._inputs = _ports(compiled.inputs, graph.inputs)
        self._outputs = _ports(compiled.outputs, graph.outputs)
        self._requests = [compiled.create_infer_request() for _ in range(options.streams)]
        self._idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for request in self._requests:
            self._idle.put(request)

    def describe(self) -> SessionInfo:
        return SessionInfo(
            "openvino",
            str(self._compiled.get_property("EXECUTION_DEVICES")[0]),
            self._options.threads,
            {
                "compute": self._options.compute,
                "streams": str(self._options.streams),
            },
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        arrays = self._check.arrays(inputs)
        request = self._idle.get()
        try:
            return self._run(request, arrays)
        except Exception as error:  # its classes share no base; the caller gets ours
            raise translated(error) from error
        finally:
            self._idle.put(request)

    def terminate(self) -> None:
        for request in self._requests:  # those that do not run are not impressed
            request.cancel()

    def close(self) -> None:
        """Release the weights; the session cannot be used afterwards."""
        del self._requests, self._idle, self._compiled

    def _run(self, request: ov.InferRequest, arrays: list[np.ndarray]) -> Arrays:
        for (_, index, is_bfloat16), array in zip(self._inputs, arrays, strict=True):
            request.set_input_tensor(index, _tensor(array, is_bfloat16=is_bfloat16))
        # Not `infer`, which spares a change of threads, some 15 µs, and hears no wish to stop.
        request.start_async()
        request.wait()
        answers: Arrays = {}
        for name, index, is_bfloat16 in self._outputs:
            seen = request.get_output_tensor(index).data
            # A copy: the next run writes there.
            answers[name] = np.array(seen.view(np.uint16) if is_bfloat16 else seen)
        return answers


def _check_wishes(graph: Graph, options: SessionOptions) -> None:
    """What can be told before the graph is read."""
    if options.provider != "cpu":
        raise ProviderMissing(
            f"provider {options.provider!r} is not one of OpenVINO's here; it runs on the cpu: choose "
            "another --provider, or --runtime onnxruntime"
        )
    if _NATIVE[options.compute] not in capabilities():
        raise ProviderMissing(
            f"this processor does not compute {options.compute} (OpenVINO says: "
            f"{', '.join(capabilities())}); serve another variant"
        )
    for spec in (*graph.inputs, *graph.outputs):
        if spec.dtype in _REFUSED:
            raise GraphRefused(
                f"{graph.label}: tensor {spec.name!r} holds {_REFUSED[spec.dtype]} in OpenVINO; run this "
                "model with onnxruntime"
            )


def _config(options: SessionOptions) -> dict[str, object]:
    return {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[options.compute],
        "INFERENCE_NUM_THREADS": options.threads * options.streams,
        "NUM_STREAMS": options.streams,
        "PERFORMANCE_HINT": "LATENCY",
        # Pinned, the threads of every worker would sit on the same first cores.
        "ENABLE_CPU_PINNING": False,
        "SCHEDULING_CORE_TYPE": "ANY_CORE",
        "CPU_RUNTIME_CACHE_CAPACITY": str(_CACHED_KERNELS),
    }


def _check_precision(compiled: ov.CompiledModel, options: SessionOptions) -> None:
    """The runtime takes a wish that it cannot fulfil as a hint."""
    got = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if got != _PRECISIONS[options.compute]:
        raise ProviderMissing(
            f"OpenVINO computes in {got} on this processor where {options.compute} was asked for; serve "
            "another variant"
        )


def _types(ports: list["ov.Output"], graph: Graph) -> dict[str, str]:
    """Name → type in ONNX Runtime's words. A tensor that has several names goes by the manifest's."""
    known = {spec.name for spec in (*graph.inputs, *graph.outputs)}
    types: dict[str, str] = {}
    for port in ports:
        own = port.get_element_type().get_type_name()
        names = port.get_names()
        types |= dict.fromkeys(sorted(names & known) or sorted(names)[:1], _ORT_TYPES.get(own, own))
    return types


_ORT_TYPES = {
    "boolean": "tensor(bool)",
    "u8": "tensor(uint8)",
    "u16": "tensor(uint16)",
    "u32": "tensor(uint32)",
    "u64": "tensor(uint64)",
    "i8": "tensor(int8)",
    "i16": "tensor(int16)",
    "i32": "tensor(int32)",
    "i64": "tensor(int64)",
    "f16": "tensor(float16)",
    "bf16": "tensor(bfloat16)",
    "f32": "tensor(float)",
    "f64": "tensor(double)",
    "string": "tensor(string)",
}


def _ports(
    ports: list["ov.ConstOutput"], specs: tuple[TensorSpec, ...]
) -> list[tuple[str, int, bool]]:
    """Name, the runtime's number, is it bfloat16; in the order of the manifest."""
    numbers = {name: index for index, port in enumerate(ports) for name in port.get_names()}
    return [(spec.name, numbers[spec.name], spec.dtype is DataType.BFLOAT16) for spec in specs]


def _tensor(array: np.ndarray, *, is_bfloat16: bool) -> ov.Tensor:
    """A view. The runtime only reads, but wants memory that could be written to."""
    if not array.flags.writeable:
        array = array.copy()
    if is_bfloat16:  # numpy has no such type: words
        return ov.Tensor(array, ov.Shape(list(array.shape)), ov.Type.bf16)
    return ov.Tensor(array, shared_memory=True)
