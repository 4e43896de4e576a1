"""What every runtime promises: exact types, refusals in words, runs that can be stopped."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import models.runtimes as runtimes
from models.bundle import Bundle
from models.datatypes import BY_ONNX, DataType
from models.errors import BundleError, InputRefused, RunError, RunTooLong, UsageError
from models.golden import Golden
from models.runtimes import RuntimeInfo, known, open_session
from models.runtimes.base import (
    GraphRefused,
    ProviderMissing,
    RuntimeMissing,
    Session,
    SessionOptions,
)
from models.runtimes.capabilities import package_folder
from models.runtimes.graph import Graph
from tests.service import graphs
from tests.service.graphs import Tiny, spec

RUNTIMES = [
    pytest.param(
        info.name,
        marks=pytest.mark.skipif(
            package_folder(info.package) is None, reason=f"{info.package} is not installed"
        ),
    )
    for info in known()
]
REFUSED = {"openvino": {DataType.STRING, DataType.DOUBLE, DataType.UINT64}}
"""Element types that a runtime refuses at load, since it would not compute them as they are."""


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def graph_of(tiny: Tiny) -> Graph:
    return Graph("tiny", tiny.data, {}, tiny.inputs, tiny.outputs)


@contextlib.contextmanager
def opened(runtime: str, tiny: Tiny, options: SessionOptions | None = None) -> Iterator[Session]:
    session = open_session(runtime, graph_of(tiny), options or SessionOptions())
    yield session
    session.close()


def test_there_are_runtimes_to_hold_to_it() -> None:
    assert {info.name for info in known()} >= {"onnxruntime", "openvino"}


@pytest.mark.parametrize("dtype", list(DataType))
def test_every_element_type_runs_as_it_is_or_is_refused(runtime: str, dtype: DataType) -> None:
    tiny = graphs.identity(dtype, 3)
    if dtype in REFUSED.get(runtime, set()):
        with pytest.raises(GraphRefused, match="run this model with onnxruntime"):
            open_session(runtime, graph_of(tiny), SessionOptions())
        return
    numpy_type = BY_ONNX[dtype.value].numpy
    values = ["a", "ß", ""] if dtype is DataType.STRING else [0, 1, 100]
    array = np.array([values, values], numpy_type)
    with opened(runtime, tiny) as session:
        answer = session.run({"x": array})["y"]
    assert answer.dtype == numpy_type
    assert answer.tolist() == array.tolist()


def test_a_session_says_what_it_really_uses(runtime: str) -> None:
    with opened(runtime, graphs.doubler()) as session:
        info = session.describe()
    assert (info.runtime, info.threads) == (runtime, 1)
    assert info.provider in ("CPU", "CPUExecutionProvider")


@pytest.mark.parametrize("identifier", [4, 9, -5, 2**40])
def test_an_index_outside_its_table_is_the_callers_mistake(
    runtime: str, identifier: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with opened(runtime, graphs.gather(4)) as session:
        with pytest.raises(InputRefused, match="out of data bounds"):
            session.run({"id": np.array([identifier])})
        assert session.run({"id": np.array([3, -1])})["y"].tolist() == [[3.0, 3.0]] * 2
    assert capfd.readouterr() == ("", ""), "the runtime's own banner must not reach the log"


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.ones((2, 5), np.float32)},
        {"x": np.ones(4, np.float32)},
        {"x": np.ones((2, 4), np.float64)},
        {},
        {"x": np.ones((2, 4), np.float32), "z": np.ones(1, np.float32)},
    ],
    ids=["another size", "another rank", "another type", "nothing", "more than it has"],
)
def test_arrays_that_do_not_fit_are_refused_and_change_nothing(
    runtime: str, inputs: dict[str, np.ndarray]
) -> None:
    right = np.arange(8, dtype=np.float32).reshape(2, 4)
    with opened(runtime, graphs.doubler(4)) as session:
        session.run({"x": right})
        with pytest.raises(InputRefused):
            session.run(inputs)
        assert session.run({"x": right})["y"].tolist() == (right * 2).tolist()


def test_sizes_that_do_not_fit_each_other_fail_and_the_session_goes_on(runtime: str) -> None:
    tiny = Tiny(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [spec("a", DataType.FLOAT, ["n", "s"]), spec("b", DataType.FLOAT, ["n", "t"])],
        [spec("y", DataType.FLOAT, ["n", "s"])],
    )
    ones = {size: np.ones((2, size), np.float32) for size in (3, 4)}
    with opened(runtime, tiny) as session:
        with pytest.raises(RunError):
            session.run({"a": ones[3], "b": ones[4]})
        assert session.run({"a": ones[3], "b": ones[3]})["y"].sum() == 12.0


@pytest.mark.parametrize("kind", ["read-only", "strided", "fortran", "nothing in it", "scalar"])
def test_arrays_may_lie_in_memory_as_they_like(runtime: str, kind: str) -> None:
    array = np.arange(8, dtype=np.float32).reshape(2, 4)
    if kind == "read-only":
        array.flags.writeable = False
    elif kind == "strided":
        array = np.repeat(array, 2, axis=1)[:, ::2]
    elif kind == "fortran":
        array = np.asfortranarray(array)
    elif kind == "nothing in it":
        array = array[:0]
    tiny = graphs.doubler(4)
    if kind == "scalar":
        tiny = Tiny(
            [helper.make_node("Add", ["x", "x"], ["y"])],
            [spec("x", DataType.FLOAT, [], batch_axis=None)],
            [spec("y", DataType.FLOAT, [], batch_axis=None)],
        )
        array = np.array(3.0, np.float32)
    with opened(runtime, tiny) as session:
        answer = session.run({"x": array})["y"]
    assert answer.shape == array.shape
    np.testing.assert_array_equal(answer, array * 2)


def test_an_answer_stays_what_it_was_when_others_are_given(runtime: str) -> None:
    one, two = np.ones((2, 4), np.float32), np.full((2, 4), 2, np.float32)
    with opened(runtime, graphs.doubler(4)) as session:
        first = session.run({"x": one})["y"]
        session.run({"x": two})
        assert first.tolist() == (one * 2).tolist()
    assert first.tolist() == (one * 2).tolist(), "closing frees no answer"


@pytest.mark.parametrize("streams", [1, 2])
def test_threads_that_share_a_session_get_their_own_answers(runtime: str, streams: int) -> None:
    tiny = graphs.mlp(16, 64, 8)
    inputs = [np.random.default_rng(i).standard_normal((i % 7 + 1, 16)) for i in range(60)]
    arrays = [rows.astype(np.float32) for rows in inputs]
    with opened(runtime, tiny, SessionOptions(streams=streams)) as session:
        alone = [session.run({"x": rows})["y"] for rows in arrays]
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(lambda rows: session.run({"x": rows})["y"], arrays))
    for expected, answer in zip(alone, together, strict=True):
        np.testing.assert_allclose(answer, expected, rtol=1e-6, atol=1e-6)


def long_chain(width: int = 256, layers: int = 120) -> Tiny:
    """A second or more of products, one node after the other."""
    random = np.random.default_rng(0)
    weight = (random.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
    nodes = []
    for layer in range(layers):
        before = "x" if layer == 0 else f"t{layer - 1}"
        after = "y" if layer == layers - 1 else f"t{layer}"
        nodes += [
            helper.make_node("MatMul", [before, "w"], [f"m{layer}"]),
            helper.make_node("Tanh", [f"m{layer}"], [after]),
        ]
    shape = ["batch", width]
    return Tiny(
        nodes, [spec("x", DataType.FLOAT, shape)], [spec("y", DataType.FLOAT, shape)], {"w": weight}
    )


def test_a_run_that_takes_too_long_can_be_stopped_and_the_session_goes_on(runtime: str) -> None:
    """Asked again and again, since a wish that comes before the run begins is for nobody."""
    ended = threading.Event()
    many = np.ones((16_384, 256), np.float32)
    with opened(runtime, long_chain()) as session:

        def ask() -> None:
            while not ended.wait(0.05):
                session.terminate()

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            with pytest.raises(RunTooLong):
                session.run({"x": many})
        finally:
            ended.set()
            asking.join()
        assert session.run({"x": many[:1]})["y"].shape == (1, 256)


def test_a_wish_to_stop_that_comes_late_stops_nobody(runtime: str) -> None:
    with opened(runtime, graphs.doubler(4)) as session:
        session.terminate()
        assert session.run({"x": np.ones((1, 4), np.float32)})["y"].tolist() == [[2.0] * 4]


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_an_absent_provider_is_an_error_and_never_the_cpu(runtime: str, provider: str) -> None:
    if provider == "cuda" and runtime == "onnxruntime":
        ort = pytest.importorskip("onnxruntime")
        if "CUDAExecutionProvider" in ort.get_available_providers():
            pytest.skip("this onnxruntime has the provider")
    with pytest.raises(ProviderMissing, match=provider):
        open_session(
            runtime,
            graph_of(graphs.doubler()),
            SessionOptions(provider=provider),  # type: ignore[arg-type]
        )


def test_a_runtime_that_is_not_installed_names_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = RuntimeInfo(
        "absent", "not here", "models.runtimes.absent:open_session", "models", ("an-extra",)
    )
    monkeypatch.setitem(runtimes._RUNTIMES, "absent", absent)
    with pytest.raises(RuntimeMissing, match=r"pip install 'slipway\[an-extra\]'"):
        open_session("absent", graph_of(graphs.doubler()), SessionOptions())


def test_an_unknown_runtime_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="onnxruntime, openvino"):
        open_session("torch", graph_of(graphs.doubler()), SessionOptions())


@pytest.mark.parametrize(
    "data",
    [b"", b"hello" * 100, b'<?xml version="1.0"?><net name="a" version="11"></net>', None],
    ids=["nothing", "text", "another format", "half of a graph"],
)
def test_bytes_that_are_no_graph_are_refused_in_one_line(runtime: str, data: bytes | None) -> None:
    tiny = graphs.mlp(8, 8)
    tiny.data = tiny.data[: len(tiny.data) // 2] if data is None else data
    with pytest.raises(GraphRefused) as refusal:
        open_session(runtime, graph_of(tiny), SessionOptions())
    assert "\n" not in refusal.value.message
    assert len(refusal.value.message) < 600


def test_an_operator_that_the_runtime_does_not_know_is_named(runtime: str) -> None:
    tiny = Tiny(
        [helper.make_node("Frobnicate", ["x"], ["y"], domain="my.operators")],
        [spec("x", DataType.FLOAT, ["batch", 2])],
        [spec("y", DataType.FLOAT, ["batch", 2])],
    )
    model = onnx.load_from_string(tiny.data)
    model.opset_import.append(helper.make_opsetid("my.operators", 1))
    tiny.data = model.SerializeToString()
    with pytest.raises(GraphRefused, match="Frobnicate"):
        open_session(runtime, graph_of(tiny), SessionOptions())


def externally(tiny: Tiny, folder: Path) -> Graph:
    """The same graph with its weights in a file beside it, as bytes."""
    onnx.save_model(
        onnx.load_from_string(tiny.data),
        folder / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    weights = {"model.onnx.data": (folder / "model.onnx.data").read_bytes()}
    data = (folder / "model.onnx").read_bytes()
    for file in folder.iterdir():
        file.unlink()
    return Graph("external", data, weights, tiny.inputs, tiny.outputs)


def test_external_weights_are_taken_from_bytes_and_no_file(runtime: str, tmp_path: Path) -> None:
    tiny = graphs.mlp(64, 32, 16)
    rows = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    expected = tiny.run({"x": rows})["y"]
    session = open_session(runtime, externally(tiny, tmp_path), SessionOptions())
    np.testing.assert_allclose(session.run({"x": rows})["y"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([("x", DataType.INT32)], [("y", DataType.FLOAT)]),
        ([("w", DataType.FLOAT)], [("y", DataType.FLOAT)]),
        ([("x", DataType.FLOAT)], [("z", DataType.FLOAT)]),
        ([("x", DataType.FLOAT)], [("y", DataType.FLOAT16)]),
    ],
    ids=["another type", "another input", "another output", "another type of output"],
)
def test_a_graph_that_is_not_what_the_manifest_says_is_refused(
    runtime: str, inputs: list[tuple[str, DataType]], outputs: list[tuple[str, DataType]]
) -> None:
    tiny = graphs.identity()
    tiny.inputs = tuple(spec(name, dtype, ["batch", 3]) for name, dtype in inputs)
    tiny.outputs = tuple(spec(name, dtype, ["batch", 3]) for name, dtype in outputs)
    with pytest.raises(GraphRefused, match="manifest"):
        open_session(runtime, graph_of(tiny), SessionOptions())


def test_a_graph_with_an_input_that_the_manifest_hides_is_refused(runtime: str) -> None:
    shape = ["batch", 2]
    tiny = Tiny(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [spec("a", DataType.FLOAT, shape), spec("b", DataType.FLOAT, shape)],
        [spec("y", DataType.FLOAT, shape)],
    )
    tiny.inputs = tiny.inputs[:1]
    with pytest.raises(GraphRefused, match="'b'"):
        open_session(runtime, graph_of(tiny), SessionOptions())


def test_the_golden_exam_is_passed_through_either(runtime: str, tmp_path: Path) -> None:
    bundle: Bundle = graphs.mlp(16, 32, 4).publish(tmp_path / "repository", "m", tmp_path)
    session = open_session(runtime, Graph.of(bundle), SessionOptions())
    golden = Golden.from_bytes(bundle.read("golden.npz"))
    assert golden.compare(session.run(golden.inputs), bundle.manifest.tolerance) < 1e-4


def test_all_refusals_are_bundle_errors() -> None:
    assert issubclass(GraphRefused, BundleError)
    assert issubclass(RuntimeMissing, ProviderMissing)
    assert issubclass(ProviderMissing, BundleError)
