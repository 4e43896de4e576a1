"""Which whole numbers each input may hold.

OpenVINO answers zeros for an index outside a table where ONNX wants an error, and computes integers of 32
and 64 bits alike in 32. Token ids, positions and categories go from an input straight into a table, so
the table's length is the bound; what an index is computed from inside the graph is not followed.
"""

from collections.abc import Iterator

import openvino as ov

from models.datatypes import DataType
from models.manifest import TensorSpec
from models.runtimes.openvino.inputs import Range

_INT32 = Range(-(2**31), 2**31 - 1, "OpenVINO computes whole numbers in 32 bits")
_WIDE = {DataType.INT64: _INT32, DataType.UINT32: Range(0, 2**31 - 1, _INT32.because)}
_WHOLE = {"i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64"}
# They pass values on as they are, in another shape or another width.
_PASSING = {"Convert", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Broadcast"}
_TABLES = {"Gather", "GatherElements"}
_INDEX_PORT, _AXIS_PORT = 1, 2


def ranges_of(model: ov.Model, specs: tuple[TensorSpec, ...]) -> dict[str, Range]:
    """By input name; nothing for inputs that may hold anything."""
    found: dict[str, Range] = {}
    ports = {name: port for port in model.inputs for name in port.get_names()}
    for spec in specs:
        allowed = _WIDE.get(spec.dtype)
        for rows in _tables(ports[spec.name]):
            table = Range(-rows, rows - 1, f"the model's table has {rows} rows")
            allowed = table if allowed is None else allowed.within(table)
        if allowed is not None:
            found[spec.name] = allowed
    return found


def _tables(source: "ov.Output") -> Iterator[int]:
    """Lengths of the tables that values of `source` are looked up in."""
    if source.get_element_type().get_type_name() not in _WHOLE:
        return  # a fraction has become of it
    for target in source.get_target_inputs():
        node, port = target.get_node(), target.get_index()
        if node.get_type_name() in _TABLES and port == _INDEX_PORT:
            rows = _length(node)
            if rows is not None:
                yield rows
        elif node.get_type_name() in _PASSING and port == 0:
            yield from _tables(node.output(0))


def _length(node: ov.Node) -> int | None:
    """Of the axis that is looked up; None where it is not the same for every input."""
    if node.get_type_name() == "Gather":
        axis_node = node.input_value(_AXIS_PORT).get_node()
        if axis_node.get_type_name() != "Constant":
            return None
        axis = int(axis_node.get_data().item())
    else:
        axis = int(node.get_attributes()["axis"])
    shape = node.input_value(0).get_partial_shape()
    if shape.rank.is_dynamic:
        return None
    size = shape[axis if axis >= 0 else axis + shape.rank.get_length()]
    return int(size.get_length()) if size.is_static else None
