"""Is the answer right? Asked before anything is timed: a fast wrong answer is worth nothing."""

import http.client
from contextlib import closing

import numpy as np

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.messages import Arrays, Message, read_answer

_TOLERANCE = 1e-3  # another batch size may take another kernel


def ask(port: int, path: str, message: Message, timeout_s: float = 60.0) -> dict[str, np.ndarray]:
    """The outputs of one request. Raises MeasurementFailed with what the server says."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)) as line:
        try:
            line.request("POST", path, message.body, dict(message.headers))
            answer = line.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise MeasurementFailed(f"{path} does not answer: {error}") from error
    if answer.status != 200:
        text = body[:200].decode(errors="replace")
        raise MeasurementFailed(f"{path} answers {answer.status}: {text}")
    size = answer.headers.get("inference-header-content-length")
    return read_answer(body, None if size is None else int(size))


def check(port: int, path: str, message: Message, expected: Arrays) -> None:
    """Raises MeasurementFailed unless the answer is what the bare session computes."""
    found = ask(port, path, message)
    for name, array in expected.items():
        if name not in found or found[name].shape != array.shape:
            raise MeasurementFailed(f"{path}: output {name} is missing or has another shape")
        if not np.allclose(found[name], array, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise MeasurementFailed(f"{path}: output {name} is wrong")
