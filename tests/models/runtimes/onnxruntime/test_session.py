"""Outputs in the caller's memory: the same answers, and every case in which it is not done."""

import numpy as np
import psutil
import pytest

from models.datatypes import DataType
from models.errors import InputRefused, OutOfMemory
from models.runtimes.base import RunsInto, SessionOptions
from models.runtimes.graph import Graph
from models.runtimes.onnxruntime import OnnxSession, open_session
from models.runtimes.onnxruntime.shrinkage import Shrinkage
from tests.models.runtimes.onnxruntime.fakes import FakeGpu
from tests.service import graphs
from tests.service.graphs import Tiny, spec


def opened(tiny: Tiny, options: SessionOptions | None = None) -> OnnxSession:
    graph = Graph("m/1", tiny.data, {}, tiny.inputs, tiny.outputs)
    return open_session(graph, options or SessionOptions())


@pytest.mark.parametrize("layout", ["C", "F"])
def test_outputs_land_in_the_callers_memory(layout: str) -> None:
    tiny = graphs.mlp(6, 5, 3)
    session = opened(tiny)
    assert isinstance(session, RunsInto)
    memory = np.full((4, 3), 7, np.float32)
    for seed in range(3):
        drawn = np.random.default_rng(seed).standard_normal((4, 6)).astype(np.float32)
        x = np.asarray(drawn, order=layout)  # type: ignore[call-overload]
        assert session.run_into({"x": x}, {"y": memory})
        np.testing.assert_array_equal(memory, tiny.run({"x": x})["y"])


def test_memory_of_another_shape_is_declined_once_and_for_all() -> None:
    """A manifest that misnames an axis must not turn a caller's good input into a mistake."""
    session = opened(graphs.doubler(4))
    given = {"x": np.ones((2, 4), np.float32)}
    assert session.run_into(given, {"y": np.zeros((2, 4), np.float32)})
    assert not session.run_into(given, {"y": np.zeros((3, 4), np.float32)})
    assert not session.run_into(given, {"y": np.zeros((2, 4), np.float32)})
    np.testing.assert_array_equal(session.run(given)["y"], 2 * given["x"])


def test_errors_are_those_of_any_run() -> None:
    gather, glutton = opened(graphs.gather(4)), opened(graphs.glutton())
    outside = {"id": np.array([9])}
    assert not gather.run_into(outside, {"y": np.zeros((1, 2), np.float32)})
    with pytest.raises(InputRefused, match="out of data bounds"):
        gather.run(outside)
    assert gather.run_into({"id": np.array([1])}, {"y": np.zeros((1, 2), np.float32)})
    pair = np.ones((2, 2), np.float32)
    with pytest.raises(OutOfMemory):
        glutton.run_into({"x": pair}, {"y": np.zeros((2, 2), np.float32)})
    one = np.zeros((1, 2), np.float32)
    assert glutton.run_into({"x": pair[:1]}, {"y": one})
    np.testing.assert_array_equal(one, pair[:1])


def test_bfloat16_strings_and_gpus_are_declined(gpu: FakeGpu) -> None:
    on_gpu = opened(graphs.doubler(4), SessionOptions(provider="cuda"))
    given = {"x": np.ones((1, 4), np.float32)}
    assert not on_gpu.run_into(given, {"y": np.zeros((1, 4), np.float32)})
    assert gpu.sessions[-1].runs == []


@pytest.mark.parametrize("kind", [DataType.BFLOAT16, DataType.STRING])
def test_types_without_plain_memory_are_declined(kind: DataType) -> None:
    tiny = graphs.identity(kind, 1)
    words = np.array([["a"]], object) if kind is DataType.STRING else np.ones((1, 1), np.uint16)
    assert not opened(tiny).run_into({"x": words}, {"y": np.zeros((1, 1), words.dtype)})
    assert spec("x", kind, ["batch", 1]) == tiny.inputs[0]


def test_memory_of_a_large_batch_really_comes_back() -> None:
    """With the runtime's own arena: a layer of 8192 × 4096 activations is 128 MiB."""
    session = opened(graphs.mlp(64, 4096, 10))
    now = [0.0]
    session._shrinkage = Shrinkage(lambda: now[0])
    small, large = (np.ones((rows, 64), np.float32) for rows in (16, 8192))
    session.run({"x": small})
    before = resident_bytes()
    session.run({"x": large})
    session.run({"x": small})
    held = resident_bytes()
    now[0] = 3600.0
    session.run({"x": small})
    assert held - before > 100 << 20
    assert resident_bytes() - before < 30 << 20


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
