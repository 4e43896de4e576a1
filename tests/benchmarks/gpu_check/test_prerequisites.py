"""Whether the checks can run is told before anything runs, with every reason and its remedy."""

import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.gpu_check.nvidia import Gpu, NoDriver, ask, gpus, used_bytes
from benchmarks.gpu_check.prerequisites import Machine, look

H200 = Gpu(0, "NVIDIA H200", 143_771 << 20, "580.1")
BOTH = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def looked(
    missing: Sequence[str] = (),
    found: Sequence[Gpu] = (H200,),
    providers: Sequence[str] = BOTH,
    *,
    tensorrt: bool = True,
) -> Machine:
    return look(
        lambda: found, lambda name: name not in missing, lambda: providers, lambda: tensorrt
    )


def test_a_machine_that_has_everything_has_no_reasons() -> None:
    machine = looked()
    assert machine.reasons == ()
    assert machine.providers == ("cuda", "tensorrt")
    assert machine.gpus == (H200,)
    assert machine.notes == ()


def test_a_build_that_only_lists_tensorrt_does_not_have_it() -> None:
    machine = looked(tensorrt=False)
    assert machine.providers == ("cuda",)
    assert machine.reasons == ()
    assert any("tensorrt" in note for note in machine.notes)


def test_without_torch_there_is_a_note_and_no_refusal() -> None:
    machine = looked(missing=["torch"])
    assert machine.reasons == ()
    assert any("torch" in note for note in machine.notes)


def test_every_missing_thing_is_named_with_its_remedy() -> None:
    machine = looked(missing=["onnx", "uvloop"], found=[], providers=BOTH[2:])
    text = "\n".join(machine.reasons)
    assert "lists no GPU" in text
    assert "onnx, uvloop; pip install '.[gpu,train,bench]'" in text
    assert "without CUDA" in text


def test_a_driver_that_fails_is_a_reason() -> None:
    def broken() -> Sequence[Gpu]:
        raise NoDriver("nvidia-smi fails: couldn't communicate with the NVIDIA driver")

    machine = look(broken, lambda _: True, lambda: BOTH, lambda: False)
    assert machine.reasons == ("nvidia-smi fails: couldn't communicate with the NVIDIA driver",)


def test_without_the_runtime_its_providers_are_not_asked_for() -> None:
    def never() -> Sequence[str]:
        raise AssertionError

    machine = look(lambda: [H200], lambda name: name != "onnxruntime", never, never)
    assert machine.providers == ()
    assert "onnxruntime" in machine.reasons[0]


# -- what the driver says ---------------------------------------------------------------------------------


def test_gpus_are_read_from_the_drivers_table() -> None:
    table = "0, NVIDIA H200, 143771, 580.1\n1, NVIDIA H200 MIG, [N/A], 580.1\n\n"
    assert gpus(lambda _: table) == [H200, Gpu(1, "NVIDIA H200 MIG", 0, "580.1")]


def test_memory_in_use_is_in_bytes_and_of_one_device() -> None:
    asked: list[Sequence[str]] = []

    def answer(arguments: Sequence[str]) -> str:
        asked.append(arguments)
        return "517\n"

    assert used_bytes(3, answer) == 517 << 20
    assert "--id=3" in asked[0]


def test_memory_that_is_not_told_is_an_error() -> None:
    with pytest.raises(NoDriver, match=r"\[N/A\]"):
        used_bytes(0, lambda _: "[N/A]\n")


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (FileNotFoundError(), "not installed"),
        (subprocess.TimeoutExpired("nvidia-smi", 30), "does not answer"),
        (subprocess.CompletedProcess([], 9, "NVIDIA-SMI has failed\nmore", ""), "has failed"),
    ],
    ids=["absent", "hangs", "fails"],
)
def test_a_driver_that_does_not_answer_is_told_in_a_sentence(
    outcome: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(NoDriver, match=says) as told:
        ask(["-L"])
    assert "\n" not in str(told.value)
