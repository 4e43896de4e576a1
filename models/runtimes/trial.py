"""The proof that a runtime works here: a graph of one product is opened, run and checked, in a process of its
own, since a broken driver may hang or end the process that wakes it.
"""

import json
import subprocess
import sys
from dataclasses import replace
from typing import cast

import numpy as np

from models.datatypes import DataType
from models.errors import SlipwayError
from models.manifest import TensorSpec
from models.runtimes import open_session
from models.runtimes.base import Compute, Provider, SessionOptions
from models.runtimes.capabilities import Capability
from models.runtimes.graph import Graph
from models.wire import encode_bytes, encode_number

_TIMEOUT_S = 60.0  # CUDA's first start loads gigabytes of libraries
_SIDE = 16
_MOST_DIFFERENCE = 0.5  # of 136, from bfloat16's eight bits


def tried(capability: Capability, timeout_s: float = _TIMEOUT_S) -> Capability:
    """The same, with what really works. Never raises; takes about a second, on a GPU some."""
    if not capability.is_available:
        return capability
    wanted = [capability.runtime, capability.provider, *capability.computes]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "models.runtimes.trial", *wanted],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _failed(capability, f"a trial did not end within {timeout_s:g} s")
    try:
        complaints: dict[str, str] = json.loads((done.stdout.splitlines() or [""])[-1])
    except ValueError:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return _failed(capability, f"a trial ended with {done.returncode}: {said[:200]}")
    working = tuple(compute for compute in capability.computes if not complaints[compute])
    if "fp32" not in working:
        return _failed(capability, complaints["fp32"])
    lost = {compute: complaint for compute, complaint in complaints.items() if complaint}
    return replace(
        capability,
        computes=working,
        precisions=tuple(name for name in capability.precisions if name not in lost),
        why_not="; ".join(f"{compute}: {why}" for compute, why in lost.items()),
    )


def main(arguments: list[str]) -> int:
    """In the child: prints compute → complaint, empty for what works."""
    runtime, provider, *computes = arguments
    found = {compute: _complaint(runtime, provider, compute) for compute in computes}
    print(json.dumps(found))
    return 0


def graph() -> Graph:
    """y = x · w, both [16, 16], w of ones; written by hand, since the onnx package belongs to training."""
    shape = b"".join(encode_bytes(1, encode_number(1, _SIDE)) for _ in range(2))
    value = encode_bytes(1, encode_number(1, 1) + encode_bytes(2, shape))
    node = b"".join(
        encode_bytes(*field) for field in ((1, b"x"), (1, b"w"), (2, b"y"), (4, b"MatMul"))
    )
    weights = np.ones((_SIDE, _SIDE), np.float32).tobytes()
    dims = encode_number(1, _SIDE) * 2
    tensor = dims + encode_number(2, 1) + encode_bytes(8, b"w") + encode_bytes(9, weights)
    body = b"".join(
        [
            encode_bytes(1, node),
            encode_bytes(2, b"trial"),
            encode_bytes(5, tensor),
            encode_bytes(11, encode_bytes(1, b"x") + encode_bytes(2, value)),
            encode_bytes(12, encode_bytes(1, b"y") + encode_bytes(2, value)),
        ]
    )
    opset = encode_bytes(8, encode_number(2, 18))
    model = encode_number(1, 10) + opset + encode_bytes(7, body)
    x, y = (TensorSpec(name=n, dtype=DataType.FLOAT, shape=(_SIDE, _SIDE)) for n in ("x", "y"))
    return Graph("trial", model, {}, (x,), (y,))


def _complaint(runtime: str, provider: str, compute: str) -> str:
    options = SessionOptions(provider=cast("Provider", provider), compute=cast("Compute", compute))
    x = np.tile(np.arange(1, _SIDE + 1, dtype=np.float32), (_SIDE, 1))
    try:
        session = open_session(runtime, graph(), options)
        answer = session.run({"x": x})["y"]
        session.close()
    except SlipwayError as error:
        return error.message
    except Exception as error:  # whatever it is, it is why this does not work, and shown as that
        return f"{type(error).__name__}: {str(error).strip()[:200]}"
    difference = float(np.abs(answer - x.sum(axis=1, keepdims=True)).max())
    return "" if difference <= _MOST_DIFFERENCE else f"its answer is off by {difference:g}"


def _failed(capability: Capability, why_not: str) -> Capability:
    return replace(capability, is_available=False, why_not=why_not)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
