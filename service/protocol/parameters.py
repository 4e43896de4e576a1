"""Members of an infer request beside its tensors: id, parameters, wanted outputs.

Reserved parameters do what they say or are refused; all others are a caller's own and are ignored, once
they are a string, a number or a boolean. Clients that write whole records send null for what they leave
out, so null is nowhere an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from models.datatypes import BY_ONNX, DataType
from models.manifest import TensorSpec
from service.errors import BadRequest
from service.protocol.classification import UNRANKED
from service.protocol.messages import WantedOutput

_MOST_OUTPUTS = 1024
_LARGEST_PRIORITY = 2**32 - 1
_LONGEST_TIMEOUT_US = 10**15
_MOST_BYTES = 2**53
_SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")
_SCALARS = (str, int, float)  # bool is an int


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of the whole request."""

    timeout_s: float | None = None
    priority: int = 0
    is_binary: bool = False


NONE = Parameters()
_ALL_BINARY = Parameters(is_binary=True)


def read_ident(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadRequest("id must be a string")
    return value


def read_parameters(value: object) -> Parameters:
    """Raises BadRequest naming the parameter."""
    if value is None:
        return NONE
    given = members(value, "parameters")
    if len(given) == 1 and given.get("binary_data_output") is True:  # what clients send by default
        return _ALL_BINARY
    for name, content in given.items():
        if name in _SEQUENCE and content:
            raise BadRequest(
                f"parameters.{name}: the model keeps no state between requests; send it without"
            )
        if name.startswith("triton_"):
            raise BadRequest(f"parameters.{name[:64]}: names that start with triton_ are reserved")
    timeout_us = _whole(given.get("timeout", 0), "parameters.timeout", _LONGEST_TIMEOUT_US)
    return Parameters(
        timeout_us / 1e6 if timeout_us else None,
        _whole(given.get("priority", 0), "parameters.priority", _LARGEST_PRIORITY),
        _claim(given.get("binary_data_output", False), "parameters.binary_data_output"),
    )


def binary_size(tensor: Mapping[str, object], name: str) -> int | None:
    """`binary_data_size` of an input; None: its data is in the JSON. Raises BadRequest."""
    value = tensor.get("parameters")
    if value is None:
        return None
    if isinstance(value, dict) and len(value) == 1:  # nearly always, so no message is made ready
        size = value.get("binary_data_size")
        if type(size) is int and 0 <= size <= _MOST_BYTES:
            return size
    given = members(value, f"parameters of input {name!r}")
    _refuse_shared_memory(given, f"input {name!r}")
    size = given.get("binary_data_size")
    if size is None:
        return None
    return _whole(size, f"binary_data_size of input {name!r}", _MOST_BYTES)


class Outputs:
    """Reads which outputs are wanted, and how."""

    def __init__(self, specs: tuple[TensorSpec, ...]) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._all_json = tuple(WantedOutput(name) for name in self._specs)
        self.all_binary = tuple(WantedOutput(name, is_binary=True) for name in self._specs)
        self._first_binary_only = next((s for s in specs if s.dtype is DataType.BFLOAT16), None)

    def read(self, outputs: object, is_binary: bool) -> tuple[WantedOutput, ...]:
        """All of the model's when none is named. Raises BadRequest naming the output."""
        if not outputs and (outputs is None or isinstance(outputs, list)):
            if not is_binary and self._first_binary_only is not None:
                raise _binary_only(self._first_binary_only)
            return self.all_binary if is_binary else self._all_json
        if not isinstance(outputs, list) or len(outputs) > _MOST_OUTPUTS:
            raise BadRequest(f"outputs must be a list of at most {_MOST_OUTPUTS} objects")
        wanted: dict[str, WantedOutput] = {}
        for output in outputs:
            found = self._read_one(output, is_binary)
            if found.name in wanted:
                raise BadRequest(f"output {found.name!r} is asked for twice")
            wanted[found.name] = found
        return tuple(wanted.values())

    def _read_one(self, output: object, is_binary: bool) -> WantedOutput:
        name = output.get("name") if isinstance(output, dict) else None
        spec = self._specs.get(name) if isinstance(name, str) else None
        if spec is None or not isinstance(output, dict):
            known = ", ".join(self._specs)
            raise BadRequest(f"output {str(name)[:64]!r} is unknown; the model gives: {known}")
        where = f"output {spec.name!r}"
        value = output.get("parameters")
        given = {} if value is None else members(value, f"parameters of {where}")
        _refuse_shared_memory(given, where)
        is_binary = _claim(given.get("binary_data", is_binary), f"binary_data of {where}")
        count = _whole(given.get("classification", 0), f"classification of {where}", 2**31)
        if count and spec.dtype in UNRANKED:
            raise BadRequest(f"{where} is {BY_ONNX[spec.dtype].v2}: it has no highest values")
        if spec.dtype is DataType.BFLOAT16 and not is_binary and not count:
            raise _binary_only(spec)
        return WantedOutput(spec.name, is_binary, count)


def members(value: object, where: str) -> dict[str, object]:
    """The object; a member that is null is the same as none."""
    if not isinstance(value, dict):
        raise BadRequest(f"{where} must be an object")
    for name, content in value.items():
        if content is not None and not isinstance(content, _SCALARS):
            raise BadRequest(f"{where}: {name[:64]!r} must be a string, a number or a boolean")
    if None in value.values():
        return {name: content for name, content in value.items() if content is not None}
    return value


def _binary_only(spec: TensorSpec) -> BadRequest:
    return BadRequest(
        f"output {spec.name!r} is {BY_ONNX[spec.dtype].v2}, which JSON has no form for; ask for it "
        'with "parameters": {"binary_data": true}'
    )


def _refuse_shared_memory(given: Mapping[str, object], where: str) -> None:
    if "shared_memory_region" in given:
        raise BadRequest(f"{where}: shared memory is not offered; send the tensor in the body")


def _whole(value: object, where: str, largest: int) -> int:
    if type(value) is not int or not 0 <= value <= largest:
        raise BadRequest(f"{where} must be a whole number from 0 to {largest}")
    return value


def _claim(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(f"{where} must be true or false")
    return value
