"""What is installed is proven by a run; what fails says why, and takes nothing else down."""

import subprocess
from typing import Any

import numpy as np
import onnx
import pytest

from models.runtimes import trial
from models.runtimes.capabilities import Capability, probe
from models.runtimes.trial import graph, tried

HERE = [capability for capability in probe() if capability.provider == "cpu"]
OPENVINO = Capability("openvino", "cpu", (), ("fp32", "bf16", "int8"), ("fp32", "bf16"))


def test_the_graph_is_one_that_onnx_accepts() -> None:
    made = onnx.load_from_string(graph().model)
    onnx.checker.check_model(made, full_check=True)
    assert [node.op_type for node in made.graph.node] == ["MatMul"]
    assert (
        onnx.numpy_helper.to_array(made.graph.initializer[0]).tolist() == np.ones((16, 16)).tolist()
    )


@pytest.mark.parametrize("capability", HERE, ids=lambda c: c.runtime)
def test_what_is_installed_works(capability: Capability) -> None:
    if not capability.is_available:
        pytest.skip(capability.why_not)
    assert tried(capability) == capability


def test_what_is_known_to_be_missing_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", never)
    missing = Capability("openvino", "cpu", is_available=False, why_not="not installed")
    assert tried(missing) is missing


def test_a_runtime_that_refuses_says_why() -> None:
    wrong = Capability("onnxruntime", "cpu", (), ("fp32", "bf16"), ("fp32", "bf16"))
    found = tried(wrong)
    assert found.is_available
    assert found.computes == ("fp32",)
    assert found.precisions == ("fp32",)
    assert "bf16" in found.why_not


class _Child:
    """What the process left behind."""

    def __init__(self, returncode: int, stdout: str = "", stderr: str = "") -> None:
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


@pytest.mark.parametrize(
    ("child", "why_not"),
    [
        (_Child(-11, stderr="loading\nSegmentation fault"), "ended with -11: Segmentation fault"),
        (_Child(0), "it said nothing"),
        (_Child(0, stdout="a banner\n"), "it said nothing"),
        (_Child(0, '{"fp32": "no kernels", "bf16": ""}'), "no kernels"),
    ],
    ids=["killed", "silent", "no answer", "fp32 fails"],
)
def test_a_process_that_dies_is_a_reason(
    child: _Child, why_not: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: child)
    found = tried(OPENVINO)
    assert not found.is_available
    assert why_not in found.why_not


def test_a_process_that_hangs_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert "did not end within 3 s" in tried(OPENVINO, timeout_s=3.0).why_not


def test_a_wrong_answer_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def run(self, _: object) -> dict[str, np.ndarray]:
            return {"y": np.zeros((16, 16), np.float32)}

        def close(self) -> None: ...

    monkeypatch.setattr(trial, "open_session", lambda *_: Wrong())
    assert trial.main(["openvino", "cpu", "fp32"]) == 0
    assert "off by 136" in trial._complaint("openvino", "cpu", "fp32")
