"""What OpenVINO does here and would not do by itself: exact, silent, beside other workers, bounded."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.datatypes import DataType
from models.errors import InferenceFailed, InputRefused, OutOfMemory, RunTooLong
from models.runtimes import open_session
from models.runtimes.base import GraphRefused, LoadOutOfMemory, ProviderMissing, SessionOptions
from service.memory import give_back
from tests.models.runtimes.test_contract import externally, graph_of, opened
from tests.service import graphs
from tests.service.graphs import Tiny, spec

pytest.importorskip("openvino")
from models.runtimes.openvino import library
from models.runtimes.openvino import session as session_module
from models.runtimes.openvino.errors import reason_of, refusal, translated


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("compute", ["bf16", "fp16"])
def test_it_computes_in_what_it_is_told_and_its_tensors_stay_as_they_are(compute: str) -> None:
    if compute.upper() not in library.capabilities():
        pytest.skip(f"this processor has no products of {compute}")
    tiny = graphs.mlp(256, 256, 16)
    rows = np.random.default_rng(0).standard_normal((8, 256)).astype(np.float32)
    with opened("openvino", tiny) as plain:
        exact = plain.run({"x": rows})["y"]
    with opened("openvino", tiny, SessionOptions(compute=compute)) as session:  # type: ignore[arg-type]
        answer = session.run({"x": rows})["y"]
        assert session.describe().details["compute"] == compute
    assert answer.dtype == np.float32
    difference = np.abs(answer - exact).max()
    assert 0 < difference < 0.05 * np.abs(exact).max(), (
        "rounded to eight bits or more, and not equal"
    )


def test_a_compute_that_the_processor_lacks_is_an_error_and_never_fp32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "capabilities", lambda: ("FP32", "INT8"))
    with pytest.raises(ProviderMissing, match="does not compute bf16"):
        open_session("openvino", graph_of(graphs.doubler()), SessionOptions(compute="bf16"))


def test_a_wish_that_was_only_taken_as_a_hint_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(session_module._PRECISIONS, "bf16", "f32")
    monkeypatch.setattr(session_module, "capabilities", lambda: ("FP32", "BF16"))
    monkeypatch.setattr(session_module, "_config", lambda _: {"INFERENCE_PRECISION_HINT": "bf16"})
    if "BF16" not in library.capabilities():
        pytest.skip("this processor has no products of bf16")
    with pytest.raises(ProviderMissing, match="computes in bf16"):
        open_session("openvino", graph_of(graphs.doubler()), SessionOptions(compute="bf16"))


def test_threads_and_streams_are_those_that_were_planned() -> None:
    session = open_session(
        "openvino", graph_of(graphs.mlp(64, 64, 8)), SessionOptions(threads=1, streams=2)
    )
    compiled = session._compiled  # type: ignore[attr-defined]
    assert compiled.get_property("INFERENCE_NUM_THREADS") == min(2, os.cpu_count() or 1)
    assert compiled.get_property("NUM_STREAMS") == 2
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_no_thread_is_pinned_to_a_core() -> None:
    """In a process of its own: its threads outlive sessions, and other libraries pin theirs."""
    code = """
import os
import numpy as np
from models.runtimes import open_session
from models.runtimes.base import SessionOptions
from tests.models.runtimes.test_contract import graph_of
from tests.service import graphs
before = set(os.listdir("/proc/self/task"))
options = SessionOptions(threads=1, streams=2)
session = open_session("openvino", graph_of(graphs.mlp(64, 64, 8)), options)
session.run({"x": np.ones((64, 64), np.float32)})
started = set(os.listdir("/proc/self/task")) - before
assert started, "it works in threads of its own"
allowed = os.sched_getaffinity(0)
assert {frozenset(os.sched_getaffinity(int(task))) for task in started} == {frozenset(allowed)}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_it_reports_nothing_to_anybody_and_brings_no_framework() -> None:
    code = """
import sys
import models.runtimes.openvino
loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
sys.exit(", ".join(sorted(loaded & {"openvino_telemetry", "torch", "tensorflow", "onnx"})) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_that_care_it_would_report(tmp_path: Path) -> None:
    """The reason for it; should the import stop reporting, the care can go."""
    code = "import sys, openvino; sys.exit('openvino_telemetry' not in sys.modules)"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "https_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**62])
def test_whole_numbers_that_32_bits_do_not_hold_are_refused(value: int) -> None:
    with (
        opened("openvino", graphs.identity(DataType.INT64, 2)) as session,
        pytest.raises(InputRefused, match="computes whole numbers in 32 bits"),
    ):
        session.run({"x": np.array([[0, value]])})


def through(*nodes: tuple[str, dict[str, object]], rows: int = 5) -> Tiny:
    """ids [batch, tokens] → some operators → rows of a table."""
    made, value = [], "ids"
    for number, (operator, attributes) in enumerate(nodes):
        made.append(
            helper.make_node(operator, [value, *_more(operator)], [f"v{number}"], **attributes)
        )
        value = f"v{number}"
    made.append(helper.make_node("Gather", ["table", value], ["y"]))
    return Tiny(
        made,
        [spec("ids", DataType.INT64, ["batch", "tokens"])],
        [spec("y", DataType.FLOAT, ["batch", "tokens", 2])],
        {
            "table": np.arange(rows * 2, dtype=np.float32).reshape(rows, 2),
            "two": np.array([2]),
            "ten": np.array(10),
        },
    )


def _more(operator: str) -> list[str]:
    return {"Unsqueeze": ["two"], "Mod": ["ten"], "Squeeze": ["two"]}.get(operator, [])


@pytest.mark.parametrize(
    "tiny",
    [
        through(),
        through(("Cast", {"to": TensorProto.INT32})),
        through(("Unsqueeze", {}), ("Squeeze", {})),
        through(("Transpose", {"perm": [0, 1]}), ("Cast", {"to": TensorProto.INT32})),
    ],
    ids=["straight", "narrowed", "reshaped", "turned"],
)
def test_an_identifier_is_followed_into_its_table(tiny: Tiny) -> None:
    with opened("openvino", tiny) as session:
        assert session.run({"ids": np.array([[4, -5]])})["y"].ravel()[:2].tolist() == [8.0, 9.0]
        for identifier in (5, -6):
            with pytest.raises(InputRefused, match="table has 5 rows"):
                session.run({"ids": np.array([[0, identifier]])})


def test_an_identifier_that_is_computed_with_may_be_anything() -> None:
    with opened("openvino", through(("Mod", {}), rows=10)) as session:
        assert session.run({"ids": np.array([[123]])})["y"].ravel().tolist() == [6.0, 7.0]


def test_the_smaller_of_two_tables_counts() -> None:
    tiny = through(rows=5)
    tiny = Tiny(
        [
            helper.make_node("Gather", ["large", "ids"], ["a"]),
            helper.make_node("Gather", ["small", "ids"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["y"]),
        ],
        tiny.inputs,
        tiny.outputs,
        {"large": np.ones((9, 2), np.float32), "small": np.ones((3, 2), np.float32)},
    )
    with opened("openvino", tiny) as session:
        assert session.run({"ids": np.array([[2]])})["y"].tolist() == [[[2.0, 2.0]]]
        with pytest.raises(InputRefused, match="table has 3 rows"):
            session.run({"ids": np.array([[3]])})


@pytest.mark.parametrize("location", ["/etc/hostname", "../elsewhere", "*/_ORT_MEM_ADDR_/*"])
def test_a_graph_that_points_out_of_its_bundle_is_refused(location: str, tmp_path: Path) -> None:
    graph = externally(graphs.mlp(8, 4), tmp_path)
    padded = location.ljust(len("model.onnx.data"), "x")[: len("model.onnx.data")]
    moved = graph.model.replace(b"model.onnx.data", padded.encode())
    with pytest.raises(GraphRefused, match="not one of the bundle's weight files"):
        open_session("openvino", type(graph)(**vars(graph) | {"model": moved}), SessionOptions())


def test_the_weights_may_go_once_the_session_exists(tmp_path: Path) -> None:
    """The runtime was told an address; it must have a copy of its own."""
    tiny = graphs.mlp(64, 32)
    rows = np.ones((2, 64), np.float32)
    graph = externally(tiny, tmp_path)
    buffers = {name: bytearray(data) for name, data in graph.weights.items()}
    graph = type(graph)(**vars(graph) | {"weights": buffers})
    session = open_session("openvino", graph, SessionOptions())
    for buffer in buffers.values():
        buffer[:] = b"\xff" * len(buffer)
    np.testing.assert_allclose(
        session.run({"x": rows})["y"], tiny.run({"x": rows})["y"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.slow
def test_kernels_of_many_different_sizes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on them is a property that the runtime does not list; were it ignored, a small one would
    take as much memory as a large one."""
    grown = {}
    for bound in (16, 4096):
        monkeypatch.setattr(session_module, "_CACHED_KERNELS", bound)
        with opened("openvino", attention_like()) as session:
            session.run({"x": np.ones((8, 128, 64), np.float32)})
            before = resident_bytes()
            for length in range(1, 129):
                for batch in range(1, 9):
                    session.run({"x": np.ones((batch, length, 64), np.float32)})
            grown[bound] = resident_bytes() - before
        give_back()
    assert grown[4096] > 8 << 20, "there was something to forget"
    assert grown[16] < grown[4096] / 2


def attention_like(width: int = 64) -> Tiny:
    random = np.random.default_rng(0)
    weights = {
        name: (random.standard_normal((width, width)) / 8).astype(np.float32) for name in "qkvof"
    }
    nodes = [
        *(helper.make_node("MatMul", ["x", name], [f"x{name}"]) for name in "qkv"),
        helper.make_node("Transpose", ["xk"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["xq", "kt"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "xv"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "o"], ["out"]),
        helper.make_node("Add", ["out", "x"], ["sum"]),
        helper.make_node("MatMul", ["sum", "f"], ["y"]),
    ]
    shape = ["batch", "tokens", width]
    return Tiny(
        nodes, [spec("x", DataType.FLOAT, shape)], [spec("y", DataType.FLOAT, shape)], weights
    )


_CANCELLED = """Exception from src/inference/src/cpp/infer_request.cpp:246:
Exception from src/bindings/python/src/pyopenvino/core/infer_request.hpp:55:
Caught exception: Infer Request was canceled
"""
_SIZES = """Exception from src/inference/src/cpp/infer_request.cpp:246:
Caught exception: Exception from src/plugins/intel_cpu/src/node.cpp:794:
[CPU] MatMul node with name 'y' Check 'k_lhs == k_rhs' failed at src/shape_inference/custom/matmul.cpp:45:
Matmul input shapes are incompatible shape A: (2.3) shape B: (4.5)
"""


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (_CANCELLED, RunTooLong, "stopped"),
        (_SIZES, InputRefused, "Matmul input shapes are incompatible"),
        ("std::bad_alloc", OutOfMemory, "memory"),
        ("Exception from src/a.cpp:1:\nsomething broke", InferenceFailed, "failed"),
    ],
)
def test_what_it_says_becomes_our_errors(text: str, kind: type[Exception], said: str) -> None:
    error = translated(RuntimeError(text))
    assert type(error) is kind
    assert said in str(error)
    assert "src/" not in str(error)


def test_places_in_its_source_are_left_out_of_messages() -> None:
    assert (
        reason_of(RuntimeError("Exception from src/a.cpp:1:\nsomething broke\n\n"))
        == "something broke"
    )
    assert reason_of(RuntimeError("")) == "RuntimeError"


def test_a_graph_that_does_not_fit_the_memory_is_told_from_one_that_is_wrong() -> None:
    assert isinstance(refusal("m/1", MemoryError()), LoadOutOfMemory)
    assert isinstance(refusal("m/1", RuntimeError("std::bad_alloc")), LoadOutOfMemory)
    assert isinstance(refusal("m/1", RuntimeError("unknown operator")), GraphRefused)
