"""Open Inference Protocol V2, JSON form: an infer request's bytes → arrays, outputs → a response's bytes.

One codec per model version, built when it is loaded. Everything is checked before any array is made:
names, types, ranks, sizes, and that data has as many values as its shape says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import orjson

from models.datatypes import BY_ONNX, BY_V2, TypeInfo
from models.errors import InputError
from models.manifest import Manifest, TensorSpec
from service.errors import BadJson, BadRequest
from service.protocol.values import BINARY_ONLY, from_json, to_json

_MOST_OUTPUTS = 1024
_LARGEST_SIZE = 2**40  # of one axis; data must have as many values anyway


@dataclass(frozen=True, slots=True)
class InferRequest:
    """`rows`: size of the batch axis. `timeout_s`: the caller's own limit, from `parameters.timeout`."""

    inputs: dict[str, np.ndarray]
    rows: int
    outputs: tuple[str, ...]
    ident: str | None = None
    timeout_s: float | None = None


class V2Codec:
    """Reads and writes one model version's infer messages."""

    def __init__(self, manifest: Manifest) -> None:
        self._name = manifest.name
        self._version = str(manifest.version)
        self._inputs = {spec.name: (spec, BY_ONNX[spec.dtype.value]) for spec in manifest.inputs}
        self._outputs = {s.name: BY_ONNX[s.dtype.value].v2 for s in manifest.outputs}
        self._binary_only = [s.name for s in manifest.outputs if s.dtype in BINARY_ONLY]

    def decode(self, body: bytes) -> InferRequest:
        """Raises BadJson, BadRequest, or InputError naming the input."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadJson(f"the body is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise BadRequest('the body must be an object: {"inputs": […]}')
        may_hold_bools = b"true" in body or b"false" in body
        inputs, rows = self._read_inputs(document.get("inputs"), may_hold_bools)
        return InferRequest(
            inputs,
            rows,
            self._wanted(document.get("outputs")),
            _ident(document.get("id")),
            _timeout_s(document.get("parameters")),
        )

    def encode(self, outputs: Mapping[str, np.ndarray], request: InferRequest) -> bytes:
        """The requested outputs, in the order they were asked for."""
        answer: dict[str, object] = {"model_name": self._name, "model_version": self._version}
        if request.ident is not None:
            answer["id"] = request.ident
        answer["outputs"] = [
            {
                "name": name,
                "shape": outputs[name].shape,
                "datatype": self._outputs[name],
                "data": to_json(outputs[name]),
            }
            for name in request.outputs
        ]
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)

    def _read_inputs(
        self, tensors: object, may_hold_bools: bool
    ) -> tuple[dict[str, np.ndarray], int]:
        if not isinstance(tensors, list) or not tensors:
            raise BadRequest("inputs must be a list with at least one tensor")
        found: dict[str, np.ndarray] = {}
        axes: dict[str, int] = {}
        rows = 1
        for tensor in tensors:
            spec, info = self._spec_of(tensor, found)
            shape = _shape(spec, tensor.get("shape"), axes)
            if spec.batch_axis is not None:
                rows = shape[spec.batch_axis]
            if "data" not in tensor:
                raise InputError(f"input {spec.name!r}: data is missing")
            found[spec.name] = from_json(
                spec.name, info, shape, tensor["data"], may_hold_bools=may_hold_bools
            )
        if len(found) != len(self._inputs):
            missing = sorted(set(self._inputs) - set(found))
            raise InputError(f"input {missing[0]!r} is missing")
        return found, rows

    def _spec_of(
        self, tensor: object, found: Mapping[str, np.ndarray]
    ) -> tuple[TensorSpec, TypeInfo]:
        """The tensor's entry in the manifest; its name and datatype are right then."""
        if not isinstance(tensor, dict):
            raise BadRequest("every input must be an object with name, shape, datatype and data")
        name, datatype = tensor.get("name"), tensor.get("datatype")
        entry = self._inputs.get(name) if isinstance(name, str) else None
        if entry is None:
            known = ", ".join(self._inputs)
            raise InputError(f"input {str(name)[:64]!r} is unknown; the model takes: {known}")
        spec, info = entry
        if name in found:
            raise InputError(f"input {name!r} is given twice")
        if datatype != info.v2:
            known_type = isinstance(datatype, str) and datatype in BY_V2
            what = f"is {info.v2}, not {datatype}" if known_type else "has an unknown datatype"
            raise InputError(f"input {name!r} {what}; send datatype {info.v2}")
        if spec.dtype in BINARY_ONLY:
            raise InputError(f"input {name!r}: {info.v2} travels in binary form only, not in JSON")
        return spec, info

    def _wanted(self, outputs: object) -> tuple[str, ...]:
        names = self._names_of(outputs) if outputs else tuple(self._outputs)
        for name in self._binary_only:
            if name in names:
                raise BadRequest(f"output {name!r} is {self._outputs[name]}: binary form only")
        return names

    def _names_of(self, outputs: object) -> tuple[str, ...]:
        if not isinstance(outputs, list) or len(outputs) > _MOST_OUTPUTS:
            raise BadRequest(f"outputs must be a list of at most {_MOST_OUTPUTS} objects")
        names: list[str] = []
        for output in outputs:
            name = output.get("name") if isinstance(output, dict) else None
            if not isinstance(name, str) or name not in self._outputs:
                known = ", ".join(self._outputs)
                raise BadRequest(f"output {str(name)[:64]!r} is unknown; the model gives: {known}")
            if name in names:
                raise BadRequest(f"output {name!r} is asked for twice")
            names.append(name)
        return tuple(names)


def _shape(spec: TensorSpec, shape: object, axes: dict[str, int]) -> list[int]:
    """The shape, once it fits the manifest. `axes` collects what each named axis is in this request."""
    if not isinstance(shape, list) or len(shape) != len(spec.shape):
        raise InputError(f"input {spec.name!r}: shape must be a list of {len(spec.shape)} integers")
    for size, axis in zip(shape, spec.shape, strict=True):
        if type(size) is not int or not 0 < size <= _LARGEST_SIZE:
            raise InputError(f"input {spec.name!r}: shape must hold positive integers")
        wanted = axis if isinstance(axis, int) else axes.setdefault(axis, size)
        if size != wanted:
            raise InputError(
                f"input {spec.name!r}: axis {axis!r} is {size} in shape {shape}, expected {wanted}"
            )
    return shape


def _ident(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadRequest("id must be a string")
    return value


def _timeout_s(parameters: object) -> float | None:
    """`parameters.timeout` counts microseconds, as in Triton's schedule policy."""
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        raise BadRequest("parameters must be an object")
    timeout = parameters.get("timeout")
    if timeout is None:
        return None
    if type(timeout) is not int or timeout < 0:
        raise BadRequest("parameters.timeout must be a whole number of microseconds")
    return timeout / 1e6 if timeout else None
