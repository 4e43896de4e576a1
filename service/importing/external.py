"""Weights that lie beside the ONNX file: checked, then copied into one file of our own.

A location is only ever opened below the model's folder, component by component, without following a link
of any kind; and what is copied is read through the very descriptor that was checked. The graph that is
published then points at the copy, so nothing of the sender's paths reaches the runtime.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from models.errors import IntegrityError
from models.files import open_plain
from models.manifest import MODEL_FILE
from models.wire import encode_bytes, fields
from service.importing.errors import ExternalDataRefused
from service.importing.graph import (
    GRAPH_INITIALIZER,
    MODEL_GRAPH,
    TENSOR_EXTERNAL,
    Facts,
    Tensor,
    read_tensor,
)

WEIGHTS_FILE = f"{MODEL_FILE}.data"

_KEYS = {"location", "offset", "length", "checksum"}
_ALIGNMENT = 64
_CHUNK_BYTES = 1 << 20
_MOST_DIGITS = 15


@dataclass(frozen=True)
class Span:
    """Where a tensor's bytes lie."""

    location: str
    offset: int
    length: int


def copy_weights(model: memoryview, facts: Facts, folder: Path, target: Path) -> bytes | memoryview:
    """Write the external weights to `target/model.onnx.data`; the model that points there, or the same
    model when it has none. Raises ExternalDataRefused."""
    outside = [tensor for tensor in facts.initializers if tensor.external is not None]
    if not outside:
        return model
    spans = {tensor.name: _span(tensor) for tensor in outside}
    if len(spans) < len(outside):
        raise ExternalDataRefused("two tensors with external data have the same name")
    placed: dict[str, Span] = {}
    with (target / WEIGHTS_FILE).open("wb") as out:
        for name, span in spans.items():
            out.write(b"\0" * (-out.tell() % _ALIGNMENT))
            placed[name] = Span(WEIGHTS_FILE, out.tell(), span.length)
            _copy(folder, name, span, out)
    return b"".join(_model_pointing_to(model, placed))


def _span(tensor: Tensor) -> Span:
    name, entries = tensor.name, tensor.external
    assert entries is not None
    unknown = sorted(entries.keys() - _KEYS)
    if unknown:
        raise ExternalDataRefused(
            f"tensor {name!r}: its external data has an unknown key {unknown[0]!r}"
        )
    if tensor.raw_bytes:
        raise ExternalDataRefused(f"tensor {name!r} has values here and in another file")
    size = tensor.size_bytes
    if size is None:
        raise ExternalDataRefused(f"tensor {name!r}: its element type cannot lie in another file")
    length = _number(name, "length", entries.get("length", str(size)))
    if length != size:
        raise ExternalDataRefused(
            f"tensor {name!r}: its external data is {length} bytes; its shape takes {size}"
        )
    return Span(
        _location(name, entries), _number(name, "offset", entries.get("offset", "0")), length
    )


def _location(name: str, entries: dict[str, str]) -> str:
    location = entries.get("location", "")
    parts = location.split("/")
    is_bad = "\0" in location or "\\" in location or any(part in ("", ".", "..") for part in parts)
    if is_bad:
        raise ExternalDataRefused(
            f"tensor {name!r}: its external data is at {location[:128]!r}, which is not a plain relative "
            "path below the model's folder"
        )
    return location


def _number(name: str, key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise ExternalDataRefused(f"tensor {name!r}: {key} {text[:32]!r} is not a number of bytes")
    return int(text)


def _copy(folder: Path, name: str, span: Span, out: BinaryIO) -> None:
    try:
        with open_plain(folder, span.location) as descriptor:
            available = os.fstat(descriptor).st_size
            if span.offset + span.length > available:
                raise ExternalDataRefused(
                    f"tensor {name!r}: {span.location} has {available} bytes; the tensor would end at "
                    f"{span.offset + span.length}"
                )
            position, end = span.offset, span.offset + span.length
            while position < end:
                chunk = os.pread(descriptor, min(_CHUNK_BYTES, end - position), position)
                if not chunk:
                    raise ExternalDataRefused(f"{span.location} became shorter while it was read")
                out.write(chunk)
                position += len(chunk)
    except IntegrityError as error:
        raise ExternalDataRefused(f"tensor {name!r}: {error.message}") from error


def _model_pointing_to(model: memoryview, placed: dict[str, Span]) -> Iterator[bytes | memoryview]:
    for entry in fields(model):
        if entry.number == MODEL_GRAPH:
            yield encode_bytes(MODEL_GRAPH, b"".join(_graph_pointing_to(entry.data, placed)))
        else:
            yield entry.raw


def _graph_pointing_to(graph: memoryview, placed: dict[str, Span]) -> Iterator[bytes | memoryview]:
    for entry in fields(graph):
        if entry.number != GRAPH_INITIALIZER or read_tensor(entry.data).external is None:
            yield entry.raw
            continue
        span = placed[read_tensor(entry.data).name]
        kept = [part.raw for part in fields(entry.data) if part.number != TENSOR_EXTERNAL]
        where = {"location": span.location, "offset": span.offset, "length": span.length}
        new = [
            encode_bytes(
                TENSOR_EXTERNAL,
                encode_bytes(1, key.encode()) + encode_bytes(2, str(value).encode()),
            )
            for key, value in where.items()
        ]
        yield encode_bytes(GRAPH_INITIALIZER, b"".join([*kept, *new]))
