"""Requests of the benchmark's own making are what the server's codec reads."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.messages import binary_message, json_message, read_answer, write_lua
from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.manifest import FileEntry, Manifest, TensorSpec
from service.protocol.v2 import V2Codec

MANIFEST = Manifest(
    name="m",
    task="tensor",
    inputs=(TensorSpec(name="x", dtype=DataType.FLOAT, shape=("batch", 3)),),
    outputs=(TensorSpec(name="y", dtype=DataType.FLOAT, shape=("batch", 2)),),
    preprocessing=TensorPreprocessing(),
    postprocessing=TensorPostprocessing(),
    version=1,
    created_at="2026-01-01T00:00:00+00:00",
    files={"model.onnx": FileEntry(sha256="0" * 64, size_bytes=1)},
)
INPUTS = {"x": np.array([[1.25, -0.5, 3.0]], np.float32)}
OUTPUTS = {"y": np.array([[7.5, -1.0]], np.float32)}


@pytest.mark.parametrize("form", ["json", "binary"])
def test_the_servers_codec_reads_it_and_its_answer_is_read_back(form: str) -> None:
    message = json_message(INPUTS) if form == "json" else binary_message(INPUTS, ["y"])
    size = message.headers.get("inference-header-content-length")
    codec = V2Codec(MANIFEST)
    request = codec.decode(message.body, None if size is None else int(size))
    np.testing.assert_array_equal(request.inputs["x"], INPUTS["x"])
    answer = codec.encode(OUTPUTS, request)
    assert (answer.header_bytes is None) == (form == "json")
    np.testing.assert_array_equal(read_answer(answer.body, answer.header_bytes)["y"], OUTPUTS["y"])


def test_a_whole_request_states_its_length_and_further_headers() -> None:
    message = json_message(INPUTS)
    head, _, body = message.http("/v2/models/m/infer", x_request_timeout_ms="250").partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"POST /v2/models/m/infer HTTP/1.1\r\n")
    assert f"content-length: {len(message.body)}".encode() in head
    assert b"x-request-timeout-ms: 250" in head
    assert body == message.body


def test_every_byte_survives_in_a_script(tmp_path: Path) -> None:
    message = binary_message({"x": np.arange(256, dtype=np.uint8).view(np.float32)[None]}, ["y"])
    text = write_lua(tmp_path / "one.lua", message).read_text()
    literal = text.split('wrk.body = "')[1].split('"\n')[0]
    assert _as_lua_reads_it(literal) == message.body


def _as_lua_reads_it(literal: str) -> bytes:
    found, place = bytearray(), 0
    while place < len(literal):
        if literal[place] == "\\":
            found.append(int(literal[place + 1 : place + 4]))
            place += 4
        else:
            found.append(ord(literal[place]))
            place += 1
    return bytes(found)
