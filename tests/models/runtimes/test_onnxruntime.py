"""Sessions from verified bytes: every element type runs, damaged graphs and absent providers are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from models.bundle import Bundle, open_bundle
from models.datatypes import BY_ONNX, DataType
from models.errors import BundleError, ExamFailed, InputRefused, IntegrityError, UsageError
from models.golden import Golden
from models.runtimes import known, open_session
from models.runtimes.base import GraphRefused, ProviderMissing, Session, SessionOptions
from models.runtimes.graph import Graph
from models.runtimes.onnxruntime import load_gpu_libraries
from service.exam import replay
from service.selection.choice import reference
from tests.service import graphs
from tests.service.graphs import Tiny, spec


def opened(tiny: Tiny, tmp_path: Path) -> tuple[Session, Bundle]:
    bundle = tiny.publish(tmp_path / "repository", "m", tmp_path)
    return open_session("onnxruntime", Graph.of(bundle), SessionOptions()), bundle


@pytest.mark.parametrize("dtype", list(DataType))
def test_every_element_type_runs(dtype: DataType, tmp_path: Path) -> None:
    session, _ = opened(graphs.identity(dtype, 3), tmp_path)
    numpy_type = BY_ONNX[dtype.value].numpy
    values = ["a", "ß", ""] if dtype is DataType.STRING else [0, 1, 1]
    array = np.array([values], numpy_type)
    answer = session.run({"x": array})["y"]
    assert answer.dtype == numpy_type
    assert answer.tolist() == array.tolist()


def test_a_session_says_what_it_really_uses(tmp_path: Path) -> None:
    session, _ = opened(graphs.doubler(), tmp_path)
    info = session.describe()
    assert (info.runtime, info.provider, info.threads) == ("onnxruntime", "CPUExecutionProvider", 1)
    session.close()


def test_a_value_that_the_graph_refuses_is_the_callers_mistake(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session, _ = opened(graphs.gather(4), tmp_path)
    with pytest.raises(InputRefused, match="out of data bounds"):
        session.run({"id": np.array([9])})
    assert capfd.readouterr() == ("", ""), "the runtime's own banner must not reach the log"


def test_an_absent_provider_is_an_error_and_never_the_cpu(tmp_path: Path) -> None:
    bundle = graphs.doubler().publish(tmp_path / "repository", "m", tmp_path)
    with pytest.raises(ProviderMissing, match="tensorrt"):
        open_session("onnxruntime", Graph.of(bundle), SessionOptions(provider="tensorrt"))


class Machine:
    """A GPU build of the runtime where the GPU cannot be used; counts the looks for libraries."""

    def __init__(self, patch: pytest.MonkeyPatch, says: str = "") -> None:
        self.looks, self._says = 0, says
        load_gpu_libraries.cache_clear()
        both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        patch.setattr(ort, "get_available_providers", lambda: both)
        patch.setattr(ort, "preload_dlls", self._look)
        session = ort.InferenceSession

        def fall_back(*arguments: Any, **options: Any) -> ort.InferenceSession:
            return session(*arguments, **options | {"providers": both[1:]})

        patch.setattr(ort, "InferenceSession", fall_back)

    def _look(self) -> None:
        self.looks += 1
        if self._says:
            print(self._says)


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Bundle]:
    yield graphs.doubler().publish(tmp_path / "repository", "m", tmp_path)
    load_gpu_libraries.cache_clear()


def test_a_gpu_that_cannot_be_used_is_an_error_that_names_what_is_missing(
    published: Bundle, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Machine(monkeypatch, says="Failed to load libcublasLt.so.13: cannot open shared object file")
    with pytest.raises(
        ProviderMissing, match=r"'cuda' could not start .*: Failed to load libcublas"
    ):
        open_session("onnxruntime", Graph.of(published), SessionOptions(provider="cuda"))
    assert capfd.readouterr().out == "", "standard output belongs to the access log"


def test_without_complaints_the_error_asks_for_gpu_and_driver(
    published: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(monkeypatch)
    with pytest.raises(ProviderMissing, match="is there a GPU, and a driver"):
        open_session("onnxruntime", Graph.of(published), SessionOptions(provider="cuda"))


def test_gpu_libraries_are_looked_for_once_and_not_for_the_cpu(
    published: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    open_session("onnxruntime", Graph.of(published), SessionOptions())
    assert machine.looks == 0
    for _ in range(2):
        with pytest.raises(ProviderMissing):
            open_session("onnxruntime", Graph.of(published), SessionOptions(provider="cuda"))
    assert machine.looks == 1


def test_an_unknown_runtime_names_the_known_ones(tmp_path: Path) -> None:
    bundle = graphs.doubler().publish(tmp_path / "repository", "m", tmp_path)
    assert [info.name for info in known()] == ["onnxruntime", "openvino"]
    with pytest.raises(UsageError, match="onnxruntime"):
        open_session("torch", Graph.of(bundle), SessionOptions())


def test_bytes_that_are_no_graph_are_refused_in_one_line(tmp_path: Path) -> None:
    tiny = graphs.doubler()
    golden = Golden({"x": np.ones((1, 4), np.float32)}, {"y": np.ones((1, 4), np.float32)})
    tiny.data = tiny.data[: len(tiny.data) // 2]
    bundle = tiny.publish(tmp_path / "repository", "m", tmp_path, golden=golden)
    with pytest.raises(GraphRefused) as refusal:
        open_session("onnxruntime", Graph.of(bundle), SessionOptions())
    assert "\n" not in refusal.value.message


def test_a_changed_weight_is_found_although_the_runtime_would_load_it(tmp_path: Path) -> None:
    bundle = graphs.mlp(8, 8).publish(tmp_path / "repository", "m", tmp_path)
    model = bundle.path / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 0x10
    model.write_bytes(data)
    with pytest.raises(IntegrityError):
        open_session(
            "onnxruntime", Graph.of(open_bundle(bundle.path, verify=False)), SessionOptions()
        )


def test_external_weights_are_taken_from_verified_bytes(tmp_path: Path) -> None:
    tiny = graphs.mlp(64, 32)
    expected = tiny.run({"x": np.ones((1, 64), np.float32)})["y"]
    staged = tmp_path / "staged-m"
    staged.mkdir()
    onnx.save_model(
        onnx.load_from_string(tiny.data),
        staged / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    tiny.data = (staged / "model.onnx").read_bytes()
    tiny.sample = None
    session, bundle = opened(tiny, tmp_path)
    assert "model.onnx.data" in bundle.manifest.files
    answer = session.run({"x": np.ones((1, 64), np.float32)})["y"]
    np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([("x", DataType.DOUBLE)], [("y", DataType.FLOAT)]),
        ([("w", DataType.FLOAT)], [("y", DataType.FLOAT)]),
        ([("x", DataType.FLOAT)], [("z", DataType.FLOAT)]),
    ],
    ids=["another type", "another input", "another output"],
)
def test_a_graph_that_is_not_what_the_manifest_says_is_refused(
    inputs: list[tuple[str, DataType]], outputs: list[tuple[str, DataType]], tmp_path: Path
) -> None:
    tiny = graphs.identity()
    tiny.sample = None
    tiny.inputs = tuple(spec(name, dtype, ["batch", 3]) for name, dtype in inputs)
    tiny.outputs = tuple(spec(name, dtype, ["batch", 3]) for name, dtype in outputs)
    bundle = tiny.publish(tmp_path / "repository", "m", tmp_path)
    with pytest.raises(GraphRefused, match="manifest"):
        open_session("onnxruntime", Graph.of(bundle), SessionOptions())


def test_a_graph_with_an_input_that_the_manifest_hides_is_refused(tmp_path: Path) -> None:
    shape = ["batch", 2]
    tiny = Tiny(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [spec("a", DataType.FLOAT, shape), spec("b", DataType.FLOAT, shape)],
        [spec("y", DataType.FLOAT, shape)],
    )
    tiny.inputs = tiny.inputs[:1]
    bundle = tiny.publish(tmp_path / "repository", "m", tmp_path)
    with pytest.raises(GraphRefused, match="'b'"):
        open_session("onnxruntime", Graph.of(bundle), SessionOptions())


def test_the_exam_is_passed_by_the_published_graph_and_failed_by_another(tmp_path: Path) -> None:
    session, bundle = opened(graphs.doubler(), tmp_path)
    assert replay(session, bundle, reference(bundle.manifest)) == 0.0
    wrong = Golden({"x": np.ones((1, 4), np.float32)}, {"y": np.full((1, 4), 3, np.float32)})
    other = graphs.doubler().publish(tmp_path / "repository", "n", tmp_path, golden=wrong)
    with pytest.raises(ExamFailed):
        replay(session, other, reference(other.manifest))


def test_a_bundle_without_an_exam_has_none_to_pass(tmp_path: Path) -> None:
    tiny = graphs.doubler()
    tiny.sample = None
    session, bundle = opened(tiny, tmp_path)
    assert replay(session, bundle, reference(bundle.manifest)) is None


def test_all_refusals_are_bundle_errors() -> None:
    assert issubclass(GraphRefused, BundleError)
    assert issubclass(ProviderMissing, BundleError)
