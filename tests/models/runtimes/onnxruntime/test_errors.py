"""The runtime's words become our errors; those of its arena come from the real one."""

from typing import Any

import numpy as np
import pytest

from models.errors import DeviceLost, InferenceFailed, InputRefused, OutOfMemory, RunError
from models.runtimes.base import GraphRefused, LoadOutOfMemory, SessionOptions
from models.runtimes.graph import Graph
from models.runtimes.onnxruntime import open_session
from models.runtimes.onnxruntime.errors import is_out_of_memory, refusal, translated
from tests.service import graphs


class InvalidArgument(Exception):
    """As the runtime's own is called."""


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (RuntimeError("Available memory of 10 is smaller than requested bytes of 20"), OutOfMemory),
        (RuntimeError("Non-zero status code … Status Message: std::bad_alloc"), OutOfMemory),
        (RuntimeError("CUDA failure 2: out of memory ; GPU=0"), OutOfMemory),
        (RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (RuntimeError("CUDA failure 700: an illegal memory access was encountered"), DeviceLost),
        (RuntimeError("CUDA failure 719: unspecified launch failure"), DeviceLost),
        (RuntimeError("CUDA failure 214: uncorrectable ECC error encountered"), DeviceLost),
        (RuntimeError("CUDA failure 209: no kernel image is available"), InferenceFailed),
        (RuntimeError("CUDA failure 900: operation not permitted"), InferenceFailed),
        (InvalidArgument("Status Message: indices element out of data bounds"), InputRefused),
        (ValueError("Required inputs are missing"), InputRefused),
        (RuntimeError("something else"), InferenceFailed),
    ],
)
def test_every_message_has_its_error(error: Exception, ours: type[RunError]) -> None:
    assert type(translated(error)) is ours


def test_only_the_log_learns_the_details() -> None:
    for text in (
        "CUDA failure 2: out of memory ; hostname=box7",
        "CUDA failure 700: x ; hostname=box7",
    ):
        found: Any = translated(RuntimeError(text))
        assert "box7" in found.detail
        assert "box7" not in found.public
        assert found.retry_after_s > 0


def test_a_graph_without_memory_is_not_a_bad_graph() -> None:
    assert type(refusal("m/1", RuntimeError("CUDA failure 2: out of memory"))) is LoadOutOfMemory
    assert type(refusal("m/1", RuntimeError("No Op registered for Foo"))) is GraphRefused


def test_the_real_runtime_says_it_in_the_words_that_we_look_for() -> None:
    tiny = graphs.glutton()
    session = open_session(Graph("m/1", tiny.data, {}, tiny.inputs, tiny.outputs), SessionOptions())
    one, two = (np.ones((count, 2), np.float32) for count in (1, 2))
    for _ in range(2):
        with pytest.raises(OutOfMemory) as found:
            session.run({"x": two})
        assert "1125899906842624" in found.value.detail
        np.testing.assert_array_equal(session.run({"x": one})["y"], one)


def test_other_failures_are_no_want_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("memory pattern is disabled"))
