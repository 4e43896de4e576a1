"""V2 requests as bytes: JSON and binary bodies, whole HTTP messages, and scripts for wrk.

Written here and not with the server's own codec: a benchmark must not depend on what it measures.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_NAMES = {"float32": "FP32", "int64": "INT64"}
_TYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items()}

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Message:
    """One POST request without its path."""

    body: bytes
    headers: Mapping[str, str]

    def http(self, path: str, **more: str) -> bytes:
        """The whole HTTP/1.1 request; `more` are header lines, written with underscores."""
        extra = {name.replace("_", "-"): value for name, value in more.items()}
        lines = {**self.headers, **extra, "content-length": str(len(self.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{head}\r\n".encode() + self.body


def json_message(inputs: Arrays) -> Message:
    """Numbers with six decimals, about nine characters each."""
    tensors = [
        {**_described(name, array), "data": rounded(array)} for name, array in inputs.items()
    ]
    body = json.dumps({"inputs": tensors}, separators=(",", ":")).encode()
    return Message(body, {"content-type": "application/json"})


def rounded(array: np.ndarray) -> list[float]:
    """All values, flat, to six decimals."""
    return [round(value, 6) for value in array.ravel().tolist()]


def binary_message(inputs: Arrays, outputs: Sequence[str]) -> Message:
    """Both directions in Triton's binary form."""
    tensors = [
        {**_described(name, array), "parameters": {"binary_data_size": array.nbytes}}
        for name, array in inputs.items()
    ]
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    header = json.dumps({"inputs": tensors, "outputs": wanted}, separators=(",", ":")).encode()
    tail = b"".join(np.ascontiguousarray(array).tobytes() for array in inputs.values())
    return Message(
        header + tail,
        {
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(len(header)),
        },
    )


def read_answer(body: bytes, header_bytes: int | None) -> dict[str, np.ndarray]:
    """The outputs, whatever form each came in."""
    head = json.loads(body if header_bytes is None else body[:header_bytes])
    place = header_bytes or 0
    found = {}
    for output in head["outputs"]:
        dtype = _TYPES[output["datatype"]]
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = np.array(output["data"], dtype)
        else:
            values = np.frombuffer(body, dtype, size // dtype.itemsize, place)
            place += size
        found[output["name"]] = values.reshape(output["shape"])
    return found


def write_lua(target: Path, message: Message, paths: Sequence[str] = ()) -> Path:
    """A script for wrk that sends the message again and again; with `paths`, to each in turn."""
    lines = ['wrk.method = "POST"', f"wrk.body = {_lua_string(message.body)}"]
    lines += [f"wrk.headers[{name!r}] = {value!r}" for name, value in message.headers.items()]
    if paths:
        listed = ", ".join(f"{path!r}" for path in paths)
        lines += [
            f"local paths = {{{listed}}}",
            "local requests, turn = {}, 0",
            "init = function(args)",
            "  for i, path in ipairs(paths) do requests[i] = wrk.format(nil, path) end",
            "end",
            "request = function()",
            "  turn = turn % #requests + 1",
            "  return requests[turn]",
            "end",
        ]
    target.write_text("\n".join(lines) + "\n")
    return target


def _described(name: str, array: np.ndarray) -> dict[str, object]:
    return {"name": name, "shape": list(array.shape), "datatype": _NAMES[array.dtype.name]}


def _lua_string(data: bytes) -> str:
    """Every byte that could end or change the string is written as its number."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}" for byte in data
    )
    return f'"{plain}"'
