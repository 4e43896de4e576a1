"""Memory that a GPU reads by itself: registered on its device, given back, and never an error."""

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.runtimes.onnxruntime.pinned import PinnedMemory


class FakeCuda:
    """Functions of the CUDA runtime that fail as they are told to; `last` is what the runtime would find."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.last = 0
        self.calls: list[tuple[str, tuple[int | None, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            self.calls.append((name, tuple(one.value for one in arguments)))
            if name == "cudaGetLastError":
                found, self.last = self.last, 0
                return found
            self.last = self.codes.get(name, 0)
            return self.last

        return call


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, 2 * mmap.PAGESIZE)


def address(memory: mmap.mmap) -> int:
    return int(np.frombuffer(memory, np.uint8).ctypes.data)


def test_a_mapping_is_registered_whole_on_its_device_and_given_back(memory: mmap.mmap) -> None:
    cuda = FakeCuda()
    release = PinnedMemory(3, cuda).pin(memory)
    assert release is not None
    at = address(memory)
    assert cuda.calls == [
        ("cudaSetDevice", (3,)),
        ("cudaHostRegister", (at, 2 * mmap.PAGESIZE, 1)),
    ]
    release()
    assert cuda.calls[-1] == ("cudaHostUnregister", (at,))


@pytest.mark.parametrize("name", ["cudaSetDevice", "cudaHostRegister"])
def test_what_cannot_be_registered_stays_as_it_was_and_leaves_no_error_behind(
    name: str, memory: mmap.mmap
) -> None:
    cuda = FakeCuda(**{name: 2})
    assert PinnedMemory(0, cuda).pin(memory) is None
    assert cuda.last == 0, "the runtime would take it for one of its kernels'"


def test_pinning_holds_no_view_of_the_mapping(memory: mmap.mmap) -> None:
    """One would keep the mapping from being closed."""
    release = PinnedMemory(0, FakeCuda()).pin(memory)
    assert release is not None
    release()
    memory.close()


def test_without_the_library_there_is_nothing_to_pin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *_: object, **__: object) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert PinnedMemory.of(0) is None
