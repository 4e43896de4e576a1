"""Open Inference Protocol V2: an infer request's bytes → arrays, outputs → a response's bytes.

One codec per model version, built when it is loaded. Everything is checked before any array is made:
names, types, ranks, sizes, and that data has as many values as its shape says. Three forms come in:
JSON alone; JSON with tensors in binary form behind it; and a raw body, which is one input's bytes.
"""

from collections.abc import Callable, Mapping
from functools import cached_property, partial

import numpy as np
import orjson

from models.bundle import Bundle
from models.datatypes import BY_ONNX, BY_V2, DataType, TypeInfo
from models.errors import InputError
from models.manifest import Manifest, TensorSpec
from service.errors import BadRequest
from service.protocol import binary, parameters
from service.protocol.classification import Labels, classify, labels_of
from service.protocol.header import parse_header
from service.protocol.messages import Encoded, InferRequest, WantedOutput
from service.protocol.shapes import checked_shape, is_single_element, raw_shape
from service.protocol.values import BINARY_ONLY, from_json, to_json

__all__ = ["Encoded", "InferRequest", "V2Codec", "WantedOutput"]

Arrays = Mapping[str, np.ndarray]


class V2Codec:
    """Reads and writes one model version's infer messages. `labels`: for the classification extension,
    asked for when somebody wants it."""

    def __init__(self, manifest: Manifest, labels: Callable[[], Labels] = dict) -> None:
        self._read_labels = labels
        self._inputs = {spec.name: (spec, BY_ONNX[spec.dtype.value]) for spec in manifest.inputs}
        self._outputs = {
            spec.name: (spec, BY_ONNX[spec.dtype.value].v2) for spec in manifest.outputs
        }
        self._wanted = parameters.Outputs(manifest.outputs)
        self._lead = {"model_name": manifest.name, "model_version": str(manifest.version)}

    @classmethod
    def of(cls, bundle: Bundle) -> "V2Codec":
        """With the bundle's labels."""
        return cls(bundle.manifest, partial(labels_of, bundle))

    def decode(self, body: bytes, header_bytes: int | None = None) -> InferRequest:
        """`header_bytes`: length of the JSON that leads the body; None: it is all JSON; 0: it is one
        input's bytes and nothing else. Raises BadJson, BadRequest, or InputError naming the input."""
        if header_bytes == 0:
            return self._decode_raw(body)
        header = body if header_bytes is None else self._header(body, header_bytes)
        document = parse_header(header)
        # true and false have these letters, the protocol's own words nearly never: two bytes are found
        # at memory speed, four of them are not.
        may_hold_bools = b"r" in header or b"l" in header
        tensors = document.get("inputs")
        if not isinstance(tensors, list) or not tensors:
            raise BadRequest("inputs must be a list with at least one tensor")
        inputs, rows = self._read_inputs(tensors, body, len(header), may_hold_bools)
        given = parameters.read_parameters(document.get("parameters"))
        return InferRequest(
            inputs,
            rows,
            self._wanted.read(document.get("outputs"), given.is_binary),
            parameters.read_ident(document.get("id")),
            given.timeout_s,
            given.priority,
        )

    def encode(self, outputs: Arrays, request: InferRequest) -> Encoded:
        """The requested outputs, in the order they were asked for. Raises IntegrityError when labels are
        wanted and their file is broken."""
        answer: dict[str, object] = dict(self._lead)
        if request.ident is not None:
            answer["id"] = request.ident
        tails: list[bytes | memoryview] = []
        answer["outputs"] = [
            self._describe(wanted, outputs[wanted.name], tails) for wanted in request.outputs
        ]
        header = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return Encoded(b"".join((header, *tails)), len(header)) if tails else Encoded(header)

    # -- requests ---------------------------------------------------------------------------------

    def _header(self, body: bytes, header_bytes: int) -> bytes:
        if not 0 < header_bytes <= len(body):
            raise BadRequest(
                f"inference-header-content-length is {header_bytes}, but the body has {len(body)} bytes"
            )
        return body[:header_bytes]

    def _read_inputs(
        self, tensors: list[object], body: bytes, tail: int, may_hold_bools: bool
    ) -> tuple[dict[str, np.ndarray], int]:
        """`tail`: where the binary tensors begin; they lie there in the order of the list."""
        found: dict[str, np.ndarray] = {}
        axes: dict[str, int] = {}
        rows = 1
        for tensor in tensors:
            if not isinstance(tensor, dict):
                raise BadRequest("every input must be an object with name, shape and datatype")
            spec, info = self._spec_of(tensor, found)
            shape = checked_shape(spec, tensor.get("shape"), axes)
            if spec.batch_axis is not None:
                rows = shape[spec.batch_axis]
            size = parameters.binary_size(tensor, spec.name) if "parameters" in tensor else None
            if size is not None:
                _check_binary(spec.name, tensor, size, len(body) - tail)
                found[spec.name] = binary.from_bytes(spec.name, info, shape, body, tail, size)
                tail += size
                continue
            if tensor.get("data") is None:
                raise InputError(f"input {spec.name!r}: data is missing")
            if spec.dtype in BINARY_ONLY:
                raise InputError(
                    f"input {spec.name!r}: {info.v2} travels in binary form only, not in JSON"
                )
            found[spec.name] = from_json(
                spec.name, info, shape, tensor["data"], may_hold_bools=may_hold_bools
            )
        if tail != len(body):
            raise BadRequest(f"{len(body) - tail} bytes follow the last binary tensor")
        self._require_all(found)
        return found, rows

    def _spec_of(self, tensor: Mapping[str, object], found: Arrays) -> tuple[TensorSpec, TypeInfo]:
        """The tensor's entry in the manifest; its name and datatype are right then."""
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
        return spec, info

    def _require_all(self, found: Arrays) -> None:
        if len(found) != len(self._inputs):
            missing = [name for name in self._inputs if name not in found]
            raise InputError(f"input {missing[0]!r} is missing")

    def _decode_raw(self, body: bytes) -> InferRequest:
        if len(self._inputs) != 1:
            raise BadRequest(
                f"a raw body is one input, but the model takes {len(self._inputs)}; send the JSON "
                "header too"
            )
        ((name, (spec, info)),) = self._inputs.items()
        if info.onnx is not DataType.STRING:
            shape = raw_shape(spec, info, len(body))
            array = binary.from_bytes(name, info, shape, body, 0, len(body))
        elif is_single_element(spec):  # the body is the string itself, without a length
            array = np.full([1] * len(spec.shape), binary.text(name, body), object)
        else:
            raise BadRequest(f"a raw body is one string, input {name!r} is of another shape")
        return InferRequest({name: array}, 1, self._wanted.all_binary)

    # -- responses --------------------------------------------------------------------------------

    @cached_property
    def _labels(self) -> Labels:
        return self._read_labels()

    def _describe(
        self, wanted: WantedOutput, array: np.ndarray, tails: list[bytes | memoryview]
    ) -> dict[str, object]:
        """The output's entry in the JSON; its bytes join `tails` when they are wanted apart."""
        spec, datatype = self._outputs[wanted.name]
        if wanted.classification:
            labels = self._labels.get(wanted.name, ())
            array = classify(array, spec, wanted.classification, labels)
            datatype = "BYTES"
        if not wanted.is_binary:
            return {
                "name": wanted.name,
                "shape": array.shape,
                "datatype": datatype,
                "data": to_json(array),
            }
        tail = binary.to_bytes(array)
        tails.append(tail)
        return {
            "name": wanted.name,
            "shape": array.shape,
            "datatype": datatype,
            "parameters": {"binary_data_size": len(tail)},
        }


def _check_binary(name: str, tensor: Mapping[str, object], size: int, left: int) -> None:
    if tensor.get("data") is not None:
        raise InputError(f"input {name!r} has both data and binary_data_size")
    if size > left:
        raise BadRequest(f"input {name!r}: binary_data_size is {size}, but {left} bytes are left")
