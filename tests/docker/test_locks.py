"""The locks of the images: whole, of the tested versions, and each image without what it must not have."""

import re
import tomllib
from types import ModuleType
from typing import Any

import pytest

from tests.docker.files import DOCKER, ROOT, canonical, pins, script

FILES = sorted(path.name for path in (DOCKER / "requirements").glob("*.txt"))
SERVING = ("cpu.txt", "cpu-libraries.txt", "cuda.txt", "cuda-libraries.txt")


@pytest.fixture
def lock() -> ModuleType:
    return script("lock")


def test_there_is_a_lock_for_each_image(lock: ModuleType) -> None:
    written = {file.split(".")[0].partition("-")[0] for file in FILES}
    assert written == {entry.name for entry in lock.LOCKS} == {"build", "cpu", "cuda", "train"}


@pytest.mark.parametrize("file", FILES)
def test_every_package_has_hashes(file: str) -> None:
    text = re.sub(r"^#.*\n", "", (DOCKER / "requirements" / file).read_text(), flags=re.MULTILINE)
    entries = text.replace("\\\n", " ").splitlines()
    for entry in entries:
        assert re.fullmatch(r"[\w.-]+==\S+(\s+--hash=sha256:[0-9a-f]{64})+", entry), entry
    assert len(entries) == len(pins(file))


@pytest.mark.parametrize("file", FILES)
def test_versions_are_the_tested_ones(file: str) -> None:
    text = (ROOT / "constraints.txt").read_text()
    tested = {canonical(m[1]): m[2] for m in re.finditer(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}
    locked = pins(file)
    assert {name: v for name, v in locked.items() if tested.get(name, v) != v} == {}
    untested = locked.keys() - tested.keys()
    # pip freeze, which writes constraints.txt, leaves setuptools out.
    assert file.endswith("-libraries.txt") or untested <= {"setuptools"}


@pytest.mark.parametrize(
    ("extras", "files"),
    [
        (("cpu", "otel"), ("cpu.txt",)),
        (("gpu", "otel"), ("cuda.txt", "cuda-libraries.txt")),
        (("cpu", "train"), ("train.txt", "train-libraries.txt", "train-sources.txt")),
    ],
)
def test_each_image_has_all_that_the_project_asks_for(
    extras: tuple[str, ...], files: tuple[str, ...]
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"]]
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    names = {canonical(re.split(r"[\[<>=!~;\s]", requirement)[0]) for requirement in asked}
    locked = {name for file in files for name in pins(file)}
    assert len(names) > 10
    assert names - locked == set()


def test_serving_images_have_one_runtime_and_no_torch() -> None:
    for file in SERVING:
        assert not {"torch", "lightning", "transformers", "onnx", "triton"} & pins(file).keys()
    assert "onnxruntime" in pins("cpu.txt")
    assert "onnxruntime-gpu" in pins("cuda.txt")
    assert "onnxruntime" not in pins("cuda.txt"), "they overwrite each other"


def test_nvidias_libraries_are_apart_and_complete() -> None:
    assert pins("cpu-libraries.txt") == {}
    assert not any(name.startswith("nvidia-") for file in FILES for name in _beside(file))
    libraries = pins("cuda-libraries.txt")
    # What the CUDA provider links to or opens: docs of ONNX Runtime, "CUDA execution provider".
    for part in ("cublas", "cudnn", "curand", "cufft", "cuda-runtime"):
        assert any(part in name for name in libraries), part
    majors = {m[1] for name in libraries if (m := re.search(r"-cu(\d+)$", name))}
    assert majors == {"13"}, "libraries of two CUDA versions"


def _beside(file: str) -> set[str]:
    return set() if file.endswith("-libraries.txt") else set(pins(file))


def _package(name: str, version: str = "1", **files: Any) -> dict[str, Any]:
    return {"name": name, "version": version, **files}


def _files(*digests: str) -> list[dict[str, Any]]:
    return [{"hashes": {"sha256": digest}} for digest in digests]


def test_a_lock_unites_the_platforms_files_and_sorts_packages_into_layers(
    lock: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_: object, platform: str, upgrade: bool) -> list[dict[str, Any]]:
        return [
            _package("numpy", wheels=_files("b", f"a-{platform}")),
            _package("nvidia-cublas", wheels=_files("c")),
            _package("old", sdist=_files("d")[0]),
        ]

    monkeypatch.setattr(lock, "_resolve", resolve)
    found = lock.contents(lock.Lock("x", ("cpu",), ("one-1", "two-2")))
    assert found.keys() == {"x.txt", "x-libraries.txt", "x-sources.txt"}
    body = found["x.txt"].splitlines()[2:]
    hashes = ["a-one-1", "a-two-2", "b"]
    assert " ".join(body) == "numpy==1 " + " ".join(f"\\     --hash=sha256:{h}" for h in hashes)
    assert found["x-libraries.txt"].endswith("nvidia-cublas==1 \\\n    --hash=sha256:c\n")
    assert found["x-sources.txt"].endswith("old==1 \\\n    --hash=sha256:d\n")


def test_platforms_that_need_different_packages_are_refused(
    lock: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_: object, platform: str, upgrade: bool) -> list[dict[str, Any]]:
        return [_package("numpy", platform, wheels=_files("a"))]

    monkeypatch.setattr(lock, "_resolve", resolve)
    with pytest.raises(lock.Failed, match=r"different packages.*numpy==1.*numpy==2"):
        lock.contents(lock.Lock("x", ("cpu",), ("1", "2")))


def test_a_missing_resolver_is_named_with_the_command_that_gets_it(
    lock: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock.os, "access", lambda *_: False)
    with pytest.raises(lock.Failed, match='make tools GROUP="locks"'):
        lock.contents(lock.LOCKS[0])


def test_only_what_the_constraints_leave_open_keeps_its_version_and_gives_way(
    lock: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[str]] = []

    def resolve(_: object, platform: str, own: list[str]) -> list[dict[str, Any]]:
        tried.append(own)
        if own:
            raise lock.Failed("no solution")
        return []

    monkeypatch.setattr(lock, "_compile", resolve)
    [cuda] = [entry for entry in lock.LOCKS if entry.name == "cuda"]
    lock.contents(cuda)
    kept, free = tried
    assert {pin.partition("==")[0] for pin in kept} == set(pins("cuda-libraries.txt"))
    assert free == []
    tried.clear()
    lock.contents(cuda, upgrade=True)
    assert tried == [[]]
