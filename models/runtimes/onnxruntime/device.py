"""Runs of one session on a GPU, over buffers that stay where they are.

Per set of input shapes there is one set of buffers: inputs are copied into theirs, outputs come out of
theirs, and nothing is allocated in between. Where batches have fixed sizes (the manifest's
`allowed_batch_sizes`) and nothing else varies, the kernels of a run are also captured once and then
replayed with a single call (CUDA graphs): that needs the same addresses every time, which is what these are.

Output shapes are the manifest's, with axes named as in the inputs. An output that has an axis of its own is
allocated by the runtime, each time, and its model's runs are not captured.

A captured graph belongs to the thread that captured it; another thread's first run captures again. Memory
that graphs work in is free to the arena while no run uses it, so a session with graphs never shrinks.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

from models.datatypes import BY_ONNX, DataType
from models.manifest import TensorSpec
from models.runtimes.base import Arrays
from models.runtimes.graph import Graph
from models.runtimes.onnxruntime.control import GRAPH_ID, NO_GRAPH, SHRINK, RunControl
from models.runtimes.onnxruntime.errors import is_out_of_memory
from models.runtimes.shapes import output_shapes

MOST_SHAPES = 16  # sets of buffers that are kept; texts come in hundreds of shapes
_UNBOUND = (DataType.STRING, DataType.BFLOAT16)  # no memory of a device; no element type of numpy's


class Target(NamedTuple):
    """Where buffers lie. `kind`: cuda, or cpu where tests have no other; `number`: which of them."""

    kind: str
    number: int

    @property
    def arena(self) -> str:
        """The runtime's name for its arena there."""
        return f"{'cpu' if self.kind == 'cpu' else 'gpu'}:{self.number}"


HOST = Target("cpu", 0)


@dataclass
class Buffers:
    """For one set of input shapes. `outputs` is empty where the runtime allocates them. `graph`: the number
    of the captured graph, or that there is none."""

    binding: ort.IOBinding
    inputs: Mapping[str, ort.OrtValue]
    outputs: Mapping[str, ort.OrtValue]
    graph: str = NO_GRAPH


def is_bindable(graph: Graph) -> bool:
    """Strings live in host memory alone, and bfloat16 comes out of no buffer as an array."""
    return not any(spec.dtype in _UNBOUND for spec in (*graph.inputs, *graph.outputs))


def graph_sizes(graph: Graph) -> tuple[int, ...]:
    """Batch sizes whose runs can be captured; none where anything varies but one batch axis of inputs and
    outputs alike."""
    given, made = (
        {
            (axis, position == spec.batch_axis)
            for spec in specs
            for position, axis in enumerate(spec.shape)
            if isinstance(axis, str)
        }
        for specs in (graph.inputs, graph.outputs)
    )
    is_batch_alone = len(given) == 1 and all(is_batch for _, is_batch in given) and made <= given
    return graph.sizes.allowed_batch_sizes if is_batch_alone and is_bindable(graph) else ()


class DeviceRuns:
    """For one run at a time: whoever calls holds a lock."""

    def __init__(
        self,
        session: ort.InferenceSession,
        graph: Graph,
        target: Target,
        control: RunControl,
        sizes: Sequence[int] = (),
    ) -> None:
        """`sizes`: batch sizes to capture, ascending."""
        self._session = session
        self._inputs, self._outputs = graph.inputs, graph.outputs
        self._target = target
        self._control = control
        self._graphs = {size: str(number) for number, size in enumerate(sizes, start=1)}
        self._made: OrderedDict[tuple[tuple[int, ...], ...], Buffers] = OrderedDict()
        self._on_cpu = _read_by_the_cpu(session)

    @property
    def may_shrink(self) -> bool:
        return not self._graphs

    def options(self, inputs: Mapping[str, np.ndarray], *, shrinks: bool) -> ort.RunOptions:
        """For the run of these inputs that follows."""
        entries = [(GRAPH_ID, self._graph_for(inputs))] if self._graphs else []
        if shrinks and self.may_shrink:
            entries.append((SHRINK, self._target.arena))
        return self._control.options(*entries)

    def run(self, inputs: Mapping[str, np.ndarray], options: ort.RunOptions) -> Arrays:
        """All outputs, in memory of their own. Raises what the runtime raises."""
        buffers = self._buffers(inputs)
        for name, value in buffers.inputs.items():
            value.update_inplace(np.ascontiguousarray(inputs[name]))
        self._session.run_with_iobinding(buffers.binding, options)
        if buffers.outputs:
            return {name: value.numpy() for name, value in buffers.outputs.items()}
        names = [spec.name for spec in self._outputs]
        answers = buffers.binding.copy_outputs_to_cpu()
        return dict(zip(names, answers, strict=True))

    def release(self) -> None:
        """Give buffers back, but those whose addresses a captured graph knows."""
        kept = {key: one for key, one in self._made.items() if one.graph != NO_GRAPH}
        self._made = OrderedDict(kept)

    def close(self) -> None:
        """Buffers hold on to the session: without this it would outlive its model."""
        self._made.clear()
        del self._session

    def _graph_for(self, inputs: Mapping[str, np.ndarray]) -> str:
        for spec in self._inputs:
            if spec.batch_axis is not None:
                return self._graphs.get(inputs[spec.name].shape[spec.batch_axis], NO_GRAPH)
        return NO_GRAPH

    def _buffers(self, inputs: Mapping[str, np.ndarray]) -> Buffers:
        key = tuple(inputs[spec.name].shape for spec in self._inputs)
        made = self._made.get(key)
        if made is None:
            self._make_room()
            made = self._made[key] = self._make(inputs)
        self._made.move_to_end(key)
        return made

    def _make_room(self) -> None:
        loose = [key for key, one in self._made.items() if one.graph == NO_GRAPH]
        if len(loose) >= MOST_SHAPES:
            del self._made[loose[0]]  # the one that was used longest ago

    def _make(self, inputs: Mapping[str, np.ndarray]) -> Buffers:
        binding = self._session.io_binding()
        bound: dict[str, ort.OrtValue] = {}
        for spec in self._inputs:
            target = HOST if spec.name in self._on_cpu else self._target
            value = self._allocate(spec, inputs[spec.name].shape, target)
            binding.bind_ortvalue_input(spec.name, value)
            bound[spec.name] = value
        shapes = output_shapes(self._inputs, self._outputs, inputs)
        outputs: dict[str, ort.OrtValue] = {}
        for spec in self._outputs:
            if shapes is None:
                binding.bind_output(spec.name, "cpu")
                continue
            value = self._allocate(spec, shapes[spec.name], self._target)
            binding.bind_ortvalue_output(spec.name, value)
            outputs[spec.name] = value
        graph = self._graph_for(inputs) if outputs else NO_GRAPH
        return Buffers(binding, bound, outputs, graph)

    def _allocate(self, spec: TensorSpec, shape: Sequence[int], target: Target) -> ort.OrtValue:
        return allocate(self._session, shape, BY_ONNX[spec.dtype.value].numpy, target)


def allocate(
    session: ort.InferenceSession, shape: Sequence[int], kind: Any, target: Target
) -> ort.OrtValue:
    """From the session's arena, where it counts against the session's limit and goes with it. `kind`: the
    element type, numpy's. Raises what the runtime raises when there is no memory."""
    place = (list(shape), kind, target.kind, target.number)
    try:
        return session.create_ortvalue_from_shape_and_type(*place)
    except Exception as error:  # a session without an allocator for that place says so in many ways
        if is_out_of_memory(error):
            raise
        return ort.OrtValue.ortvalue_from_shape_and_type(*place)


def _read_by_the_cpu(session: ort.InferenceSession) -> set[str]:
    """Inputs that only nodes on the CPU read (shapes, lengths): a buffer on the device would be copied
    back for them."""
    places = zip(session.get_inputs(), session.get_input_memory_infos(), strict=True)
    return {node.name for node, place in places if place.name.lower() == "cpu"}
