"""What an ONNX file says about itself, read from its bytes without opening the graph.

Every operator and every tensor is visited, wherever it hides: subgraphs, functions, attributes, sparse
tensors. Numbers are the field numbers of the onnx.proto schema (https://github.com/onnx/onnx).
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field

from models.datatypes import BY_ONNX, DataType
from models.wire import BYTES, Field, FileDamaged, fields, numbers
from service.importing.errors import ImportRefused

MODEL_GRAPH, GRAPH_INITIALIZER = 7, 5
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14

_DEEPEST = 64
_EXTERNAL = 1  # TensorProto.DataLocation

# TensorProto.DataType; 8-bit floats, 4-bit integers and complex numbers have no counterpart in V2.
ELEMENTS: dict[int, DataType] = {
    1: DataType.FLOAT, 2: DataType.UINT8, 3: DataType.INT8, 4: DataType.UINT16, 5: DataType.INT16,
    6: DataType.INT32, 7: DataType.INT64, 8: DataType.STRING, 9: DataType.BOOL,
    10: DataType.FLOAT16, 11: DataType.DOUBLE, 12: DataType.UINT32, 13: DataType.UINT64,
    16: DataType.BFLOAT16,
}  # fmt: skip
_KINDS = {1: "tensor", 4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional"}

Axis = int | str | None
"""A size, a name, or unknown."""


@dataclass(frozen=True)
class Value:
    """An input or output. `kind`: tensor, sequence, map …; `shape` None: not even the rank is known."""

    name: str
    kind: str = "tensor"
    element: int = 0
    shape: tuple[Axis, ...] | None = None

    @property
    def dtype(self) -> DataType | None:
        return ELEMENTS.get(self.element)


@dataclass(frozen=True)
class Tensor:
    """A stored tensor. `external`: its entries, when its values lie in another file."""

    name: str
    element: int
    dims: tuple[int, ...]
    external: dict[str, str] | None
    raw_bytes: int | None

    @property
    def size_bytes(self) -> int | None:
        """What its shape and type take; None for strings and for types without whole bytes."""
        dtype = ELEMENTS.get(self.element)
        if dtype is None or dtype is DataType.STRING:
            return None
        return math.prod(self.dims) * BY_ONNX[dtype.value].numpy.itemsize


@dataclass
class Facts:
    """`initializers`: of the main graph, in order. `operators`: domain → names that are used."""

    ir_version: int = 0
    producer: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    initializers: list[Tensor] = field(default_factory=list)
    operators: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    own_domains: set[str] = field(default_factory=set)
    is_training: bool = False


def read_facts(model: memoryview) -> Facts:
    """Raises FileDamaged, or ImportRefused for what nests too deeply or hides weights."""
    facts, graphs = Facts(), 0
    for entry in fields(model):
        if entry.number == 1:
            facts.ir_version = entry.value
        elif entry.number == 2:
            facts.producer = entry.text()[:64]
        elif entry.number == MODEL_GRAPH:
            graphs += 1
            _read_graph(entry.data, facts, 0)
        elif entry.number == 8:
            domain, version = _opset(entry.data)
            facts.opsets[domain] = version
        elif entry.number == 20:
            facts.is_training = True
        elif entry.number == 25:
            _read_function(entry.data, facts)
    if graphs != 1 or not facts.ir_version:
        raise FileDamaged("the file is not an ONNX model: it holds no graph")
    return facts


def read_tensor(message: memoryview) -> Tensor:
    """Raises FileDamaged, ImportRefused for entries that are unknown or come twice."""
    name, element, dims, location, raw = "", 0, list[int](), 0, None
    entries: dict[str, str] = {}
    for entry in fields(message):
        if entry.number == 1:
            dims += numbers(entry)
        elif entry.number == 2:
            element = entry.value
        elif entry.number == 8:
            name = entry.text()
        elif entry.number == 9:
            raw = len(entry.data)
        elif entry.number == TENSOR_EXTERNAL:
            key, value = _pair(entry.data)
            if key in entries:
                raise ImportRefused(f"tensor {name!r}: its external data names {key!r} twice")
            entries[key] = value
        elif entry.number == TENSOR_LOCATION:
            location = entry.value
    if any(size < 0 for size in dims):
        raise FileDamaged(f"tensor {name!r} has a negative size")
    is_external = location == _EXTERNAL or bool(entries)
    return Tensor(name, element, tuple(dims), entries if is_external else None, raw)


def _read_graph(message: memoryview, facts: Facts, depth: int) -> None:
    if depth > _DEEPEST:
        raise ImportRefused(f"the graph nests more than {_DEEPEST} levels deep")
    for entry in fields(message):
        if entry.kind != BYTES:
            continue
        if entry.number == 1:
            _read_node(entry.data, facts, depth)
        elif entry.number == GRAPH_INITIALIZER:
            tensor = read_tensor(entry.data)
            _check_stored(tensor)
            if depth == 0:
                facts.initializers.append(tensor)
            else:
                _no_external(tensor, "a subgraph")
        elif entry.number == 15:
            _read_sparse(entry.data)
        elif depth == 0 and entry.number == 11:
            facts.inputs.append(_value(entry.data))
        elif depth == 0 and entry.number == 12:
            facts.outputs.append(_value(entry.data))


def _read_node(message: memoryview, facts: Facts, depth: int) -> None:
    domain, operator = "", ""
    for entry in fields(message):
        if entry.number == 4:
            operator = entry.text()
        elif entry.number == 7:
            domain = entry.text()
        elif entry.number == 5:
            _read_attribute(entry.data, facts, depth)
    facts.operators[domain].add(operator)


def _read_attribute(message: memoryview, facts: Facts, depth: int) -> None:
    for entry in fields(message):
        if entry.kind != BYTES:
            continue
        if entry.number in (6, 11):
            _read_graph(entry.data, facts, depth + 1)
        elif entry.number in (5, 10):
            tensor = read_tensor(entry.data)
            _no_external(tensor, "an attribute")
            _check_stored(tensor)
        elif entry.number in (22, 23):
            _read_sparse(entry.data)


def _read_sparse(message: memoryview) -> None:
    for entry in fields(message):
        if entry.number in (1, 2) and entry.kind == BYTES:
            _no_external(read_tensor(entry.data), "a sparse tensor")


def _read_function(message: memoryview, facts: Facts) -> None:
    for entry in fields(message):
        if entry.number == 7:
            _read_node(entry.data, facts, 1)
        elif entry.number == 10:
            facts.own_domains.add(entry.text())
        elif entry.number == 11:
            _read_attribute(entry.data, facts, 1)


def _no_external(tensor: Tensor, where: str) -> None:
    if tensor.external is not None:
        raise ImportRefused(
            f"{where} keeps values in another file (tensor {tensor.name!r}); only weights of the main "
            "graph may: save the model again in one file, or with its weights as initializers"
        )


def _check_stored(tensor: Tensor) -> None:
    """A size that is not what is stored has made readers leak what lies behind."""
    wanted = tensor.size_bytes
    if tensor.raw_bytes and wanted is not None and tensor.raw_bytes != wanted:
        raise FileDamaged(
            f"tensor {tensor.name!r} holds {tensor.raw_bytes} bytes; its shape takes {wanted}"
        )


def _value(message: memoryview) -> Value:
    name, kind, element, shape = "", "value without a type", 0, None
    for entry in fields(message):
        if entry.number == 1:
            name = entry.text()
        elif entry.number == 2:
            for variant in fields(entry.data):
                kind = _KINDS.get(variant.number, kind)
                if variant.number == 1:
                    element, shape = _tensor_type(variant)
    return Value(name, kind, element, shape)


def _tensor_type(entry: Field) -> tuple[int, tuple[Axis, ...] | None]:
    element, shape = 0, None
    for part in fields(entry.data):
        if part.number == 1:
            element = part.value
        elif part.number == 2:
            shape = tuple(_axis(axis.data) for axis in fields(part.data) if axis.number == 1)
    return element, shape


def _axis(message: memoryview) -> Axis:
    found: Axis = None
    for entry in fields(message):
        if entry.number == 1:
            [size] = numbers(entry)
            found = size if size >= 0 else None  # some exporters write -1 for "any"
        elif entry.number == 2:
            found = entry.text() or None
    return found


def _opset(message: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for entry in fields(message):
        if entry.number == 1:
            domain = entry.text()
        elif entry.number == 2:
            version = entry.value
    return domain, version


def _pair(message: memoryview) -> tuple[str, str]:
    key = value = ""
    for entry in fields(message):
        if entry.number == 1:
            key = entry.text()
        elif entry.number == 2:
            value = entry.text()
    return key, value
