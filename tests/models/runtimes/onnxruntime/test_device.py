"""Runs on a GPU: buffers that stay, one captured graph per batch size, memory that comes back."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from models.datatypes import DataType
from models.errors import DeviceLost, InputRefused, OutOfMemory, RunTooLong
from models.manifest import TensorSpec
from models.runtimes.base import SessionOptions
from models.runtimes.gpu import GpuOptions
from models.runtimes.graph import Graph, Sizes
from models.runtimes.onnxruntime import OnnxSession, open_session
from models.runtimes.onnxruntime.control import RunControl
from models.runtimes.onnxruntime.device import (
    MOST_SHAPES,
    DeviceRuns,
    Target,
    graph_sizes,
    is_bindable,
)
from tests.models.runtimes.onnxruntime.fakes import CUDA, DEVICE_LOST, NO_CAPTURE, FakeGpu
from tests.service import graphs
from tests.service.graphs import Tiny, spec

GRAPHS = GpuOptions(cuda_graphs=True)


def graph_of(tiny: Tiny, *sizes: int) -> Graph:
    return Graph("m/1", tiny.data, {}, tiny.inputs, tiny.outputs, Sizes(8, sizes))


def opened(
    tiny: Tiny | None = None, gpu: GpuOptions = GRAPHS, sizes: tuple[int, ...] = ()
) -> OnnxSession:
    options = SessionOptions(provider="cuda", gpu=gpu)
    return open_session(graph_of(tiny or graphs.doubler(4), *sizes), options)


def rows(count: int, first: float = 1.0, width: int = 4) -> dict[str, np.ndarray]:
    return {"x": np.arange(count * width, dtype=np.float32).reshape(count, width) + first}


def ask(session: OnnxSession, count: int, first: float = 1.0) -> None:
    """And check the answer."""
    given = rows(count, first)
    np.testing.assert_array_equal(session.run(given)["y"], 2 * given["x"])


# -- buffers ---------------------------------------------------------------------------------------


def test_buffers_are_made_once_per_shape_and_filled_anew(gpu: FakeGpu) -> None:
    session = opened()
    for first in (1.0, 5.0, 9.0):
        ask(session, 2, first)
        ask(session, 3, first)
    values = gpu.sessions[-1].values
    assert len(values) == 4, "an input and an output for each of two shapes"
    assert [value.updates for value in values] == [3, 0, 3, 0]
    assert {(value.device, value.number) for value in values} == {("cuda", 0)}


def test_an_answer_is_not_a_view_of_a_buffer_that_the_next_run_fills(gpu: FakeGpu) -> None:
    session = opened()
    first = session.run(rows(2))["y"]
    kept = first.copy()
    session.run(rows(2, 100.0))
    np.testing.assert_array_equal(first, kept)
    assert gpu.sessions


def test_the_buffers_of_the_shape_used_longest_ago_go_first(gpu: FakeGpu) -> None:
    session = opened()
    for count in range(1, MOST_SHAPES + 1):
        ask(session, count)
    ask(session, 1)
    ask(session, MOST_SHAPES + 1)  # in place of 2
    made = len(gpu.sessions[-1].values)
    ask(session, 1)
    assert len(gpu.sessions[-1].values) == made
    ask(session, 2)
    assert len(gpu.sessions[-1].values) == made + 2


def test_an_input_that_the_cpu_reads_has_its_buffer_there(gpu: FakeGpu) -> None:
    gpu.input_place = "Cpu"
    ask(opened(gpu=GpuOptions(device_id=3)), 2)
    x, y = gpu.sessions[-1].values
    assert (x.device, x.number) == ("cpu", 0)
    assert (y.device, y.number) == ("cuda", 3)


def test_an_output_with_an_axis_of_its_own_is_allocated_by_the_runtime(gpu: FakeGpu) -> None:
    tiny = graphs.doubler(4)
    tiny.outputs = (spec("y", DataType.FLOAT, ["found", 4]),)
    session = opened(tiny, sizes=(2,))
    ask(session, 2)
    assert len(gpu.sessions[-1].values) == 1
    assert gpu.sessions[-1].runs == [(2, "", "")]


def test_no_rows_need_no_buffers(gpu: FakeGpu) -> None:
    assert opened().run(rows(0))["y"].shape == (0, 4)
    assert gpu.sessions[-1].values == []


def test_strings_and_bfloat16_are_not_bound() -> None:
    assert is_bindable(graph_of(graphs.identity(DataType.FLOAT16)))
    assert not is_bindable(graph_of(graphs.identity(DataType.STRING)))
    assert not is_bindable(graph_of(graphs.identity(DataType.BFLOAT16)))


# -- captured graphs -------------------------------------------------------------------------------


def test_every_allowed_batch_size_has_a_captured_graph_of_its_own(gpu: FakeGpu) -> None:
    session = opened(sizes=(1, 4))
    for first in (1.0, 7.0):
        for count in (1, 4, 3):
            ask(session, count, first)
    ran = [(count, graph) for count, graph, _ in gpu.sessions[-1].runs]
    assert ran == [(1, "1"), (4, "2"), (3, "-1")] * 2
    assert gpu.sessions[-1].options_of(CUDA)["enable_cuda_graph"] == "1"
    assert session.describe().details["cuda_graphs"] == "batches of 1, 4"


def test_buffers_of_captured_graphs_are_never_given_up(gpu: FakeGpu) -> None:
    session = opened(sizes=(1,))
    ask(session, 1)
    for count in range(2, 2 * MOST_SHAPES):
        ask(session, count)
    made = len(gpu.sessions[-1].values)
    ask(session, 1, 50.0)
    assert len(gpu.sessions[-1].values) == made


@pytest.mark.parametrize(
    ("inputs", "outputs", "sizes"),
    [
        (["batch", 4], ["batch", 4], (1, 4)),
        (["batch", "sequence"], ["batch", 4], ()),
        (["batch", 4], ["batch", "found"], ()),
        (["batch", 4], ["found", 4], ()),
    ],
    ids=["fixed", "input varies", "output varies", "another batch"],
)
def test_only_where_nothing_but_the_batch_varies_are_runs_captured(
    inputs: list[int | str], outputs: list[int | str], sizes: tuple[int, ...]
) -> None:
    x, y = spec("x", DataType.FLOAT, inputs), spec("y", DataType.FLOAT, outputs)
    assert graph_sizes(Graph("m/1", b"m", {}, (x,), (y,), Sizes(4, (1, 4)))) == sizes


def test_without_allowed_sizes_or_wish_nothing_is_captured(gpu: FakeGpu) -> None:
    for wish, sizes in ((GRAPHS, ()), (GpuOptions(), (1, 2))):
        ask(opened(gpu=wish, sizes=sizes), 1)
        assert gpu.sessions[-1].options_of(CUDA)["enable_cuda_graph"] == "0"
        assert gpu.sessions[-1].runs == [(1, "", "")]


def test_a_model_that_cannot_be_captured_is_served_without_and_says_so(gpu: FakeGpu) -> None:
    gpu.complaints = [NO_CAPTURE]
    session = opened(sizes=(2,))
    ask(session, 2)
    told = [one.options_of(CUDA)["enable_cuda_graph"] for one in gpu.sessions]
    assert told == ["1", "0"]
    assert session.describe().details["cuda_graphs"] == "none can be captured"


# -- memory ----------------------------------------------------------------------------------------


def test_no_memory_for_a_batch_is_an_error_of_its_own_and_the_session_lives(gpu: FakeGpu) -> None:
    gpu.most_rows = 4
    session = opened()
    with pytest.raises(OutOfMemory) as refusal:
        session.run(rows(8))
    assert refusal.value.status == 503
    assert refusal.value.retry_after_s
    assert "requested buffer of size 4585490524" in refusal.value.detail
    assert "4585490524" not in refusal.value.public
    ask(session, 4)


def test_after_running_out_the_arena_shrinks_and_loose_buffers_are_gone(gpu: FakeGpu) -> None:
    gpu.most_rows = 4
    session = opened(gpu=GpuOptions(device_id=2))
    ask(session, 2)
    with pytest.raises(OutOfMemory):
        session.run(rows(8))
    ask(session, 2)
    assert gpu.sessions[-1].runs[-1] == (2, "", "gpu:2")
    assert len(gpu.sessions[-1].values) == 6
    ask(session, 2)
    assert gpu.sessions[-1].runs[-1] == (2, "", ""), "once"


def test_a_session_with_captured_graphs_never_shrinks(gpu: FakeGpu) -> None:
    gpu.most_rows = 4
    session = opened(sizes=(2,))
    ask(session, 2)
    with pytest.raises(OutOfMemory):
        session.run(rows(8))
    for _ in range(3):
        ask(session, 2)
        ask(session, 3)
    assert {shrunk for _, _, shrunk in gpu.sessions[-1].runs} == {""}


def test_an_arena_that_cannot_shrink_costs_nobody_an_answer(gpu: FakeGpu) -> None:
    gpu.most_rows, gpu.shrinks = 4, False
    session = opened()
    for _ in range(2):
        with pytest.raises(OutOfMemory):
            session.run(rows(8))
        ask(session, 2)
    asked = [shrunk for _, _, shrunk in gpu.sessions[-1].runs]
    assert asked == ["", "gpu:0", "", "", ""]


@pytest.mark.parametrize("sizes", [(), (1, 2)], ids=["plain", "captured"])
def test_a_refused_value_is_the_callers_although_bound_runs_lose_the_kind(
    sizes: tuple[int, ...], gpu: FakeGpu
) -> None:
    session = opened(sizes=sizes)
    gpu.refuses = True
    with pytest.raises(InputRefused, match="out of data bounds"):
        session.run(rows(2))
    assert gpu.sessions[-1].runs[-1] == (2, "-1" if sizes else "", "plain")
    gpu.refuses = False
    ask(session, 2)


def test_a_lost_device_is_told_apart(gpu: FakeGpu) -> None:
    session = opened()
    gpu.fails_with = DEVICE_LOST
    with pytest.raises(DeviceLost) as loss:
        session.run(rows(1))
    assert "700" in loss.value.detail
    assert "700" not in loss.value.public


def test_a_run_that_was_told_to_stop_says_so(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened()

    def stopped(rows: int, *_: object, **__: object) -> None:
        session.terminate()
        raise RuntimeError("Exiting due to terminate flag being set to true.")

    with monkeypatch.context() as patch:
        patch.setattr(gpu, "check", stopped)
        with pytest.raises(RunTooLong):
            session.run(rows(1))
    ask(session, 1)


def test_a_closed_session_holds_nothing(gpu: FakeGpu) -> None:
    session = opened()
    ask(session, 2)
    runs = session._device
    session.close()
    assert runs is not None
    assert not runs._made
    assert not hasattr(runs, "_session")
    assert not hasattr(session, "_session")
    assert gpu.sessions


# -- the real runtime, with the CPU in the GPU's place ---------------------------------------------


@pytest.fixture
def real() -> DeviceRuns:
    tiny = graphs.mlp(6, 5, 3)
    opened = ort.InferenceSession(tiny.data, providers=["CPUExecutionProvider"])
    runs = DeviceRuns(opened, graph_of(tiny), Target("cpu", 0), RunControl())
    runs._on_cpu = set()
    return runs


@pytest.mark.parametrize("layout", ["C", "F"])
def test_bound_runs_answer_as_plain_ones_do(real: DeviceRuns, layout: Any) -> None:
    tiny = graphs.mlp(6, 5, 3)
    for count in (1, 7, 1, 7, 2):
        given = {"x": np.asarray(rows(count, float(count), 6)["x"], order=layout)}
        answers = real.run(given, real.options(given, shrinks=False))
        np.testing.assert_array_equal(answers["y"], tiny.run(given)["y"])
    assert len(real._made) == 3


def test_every_numeric_type_goes_through_its_buffers() -> None:
    for kind in DataType:
        tiny = graphs.identity(kind, 3)
        if not is_bindable(graph_of(tiny)):
            continue
        opened = ort.InferenceSession(tiny.data, providers=["CPUExecutionProvider"])
        runs = DeviceRuns(opened, graph_of(tiny), Target("cpu", 0), RunControl())
        given = {"x": np.array([[0, 1, 1]]).astype(_numpy(tiny.inputs[0]))}
        answer = runs.run(given, runs.options(given, shrinks=True))["y"]
        assert answer.dtype == given["x"].dtype
        np.testing.assert_array_equal(answer, given["x"])


def _numpy(one: TensorSpec) -> Any:
    from models.datatypes import BY_ONNX

    return BY_ONNX[one.dtype.value].numpy


def test_the_session_on_the_cpu_has_no_buffers_of_ours() -> None:
    plain = open_session(graph_of(graphs.doubler()), SessionOptions())
    assert plain._device is None
