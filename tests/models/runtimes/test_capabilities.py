"""What can run is told from packages and hardware alone; what cannot names its remedy."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from models.runtimes import known
from models.runtimes.capabilities import Capability, package_folder, probe
from models.runtimes.hardware import Hardware

PLAIN = ("sse4_2", "avx", "f16c", "fma", "avx2")
Find = Callable[[str], Path | None]


def machine(*more: str, gpus: tuple[str, ...] = ()) -> Hardware:
    return Hardware("a processor", "0 0", (*PLAIN, *more), 2.0, gpus, {})


@pytest.fixture
def packages(tmp_path: Path) -> Callable[..., Find]:
    """Packages that are installed; those of `providers` lie in onnxruntime's folder."""

    def install(*names: str, providers: tuple[str, ...] = ()) -> Find:
        capi = tmp_path / "onnxruntime" / "capi"
        capi.mkdir(parents=True)
        for provider in providers:
            (capi / f"libonnxruntime_providers_{provider}.so").touch()
        return lambda name: tmp_path / name if name in names else None

    return install


def found(capabilities: list[Capability], runtime: str, provider: str) -> Capability:
    [one] = [c for c in capabilities if (c.runtime, c.provider) == (runtime, provider)]
    return one


def test_every_runtime_has_an_entry_and_cpu_ones_come_with_what_is_installed() -> None:
    capabilities = probe()
    assert {c.runtime for c in capabilities} == {info.name for info in known()}
    for info in known():
        is_installed = package_folder(info.package) is not None
        assert found(capabilities, info.name, "cpu").is_available == is_installed


@pytest.mark.parametrize(
    ("runtime", "remedy"),
    [
        ("onnxruntime", r"slipway\[cpu\].*slipway\[gpu\]"),
        ("openvino", r"slipway\[openvino\]"),
    ],
)
def test_a_runtime_that_is_missing_names_what_installs_it(
    runtime: str, remedy: str, packages: Callable[..., Find], tmp_path: Path
) -> None:
    one = found(probe(machine(), packages(), tmp_path / "no driver"), runtime, "cpu")
    assert not one.is_available
    assert re.search(remedy, one.why_not)


@pytest.mark.parametrize(
    ("installed", "gpus", "why_not"),
    [
        ((), ("NVIDIA H200",), "pip install 'slipway[gpu]'"),
        (("cuda", "tensorrt"), (), "no NVIDIA GPU is visible"),
        (("cuda", "tensorrt"), ("NVIDIA H200",), ""),
    ],
    ids=["runtime without it", "no card", "both there"],
)
def test_a_gpu_needs_its_provider_and_a_card(
    installed: tuple[str, ...],
    gpus: tuple[str, ...],
    why_not: str,
    packages: Callable[..., Find],
    tmp_path: Path,
) -> None:
    find = packages("onnxruntime", "tensorrt_libs", providers=installed)
    capabilities = probe(machine(gpus=gpus), find, tmp_path / "no driver")
    for provider in ("cuda", "tensorrt"):
        one = found(capabilities, "onnxruntime", provider)
        assert one.is_available == (not why_not)
        assert why_not in one.why_not


def test_a_driver_counts_where_it_does_not_name_its_cards(
    packages: Callable[..., Find], tmp_path: Path
) -> None:
    driver = tmp_path / "nvidiactl"
    driver.touch()
    find = packages("onnxruntime", providers=("cuda", "tensorrt"))
    capabilities = probe(machine(), find, driver)
    assert found(capabilities, "onnxruntime", "cuda").is_available
    tensorrt = found(capabilities, "onnxruntime", "tensorrt")
    assert tensorrt.is_available, "its libraries may lie where only the loader looks"
    assert "libnvinfer" in tensorrt.why_not


@pytest.mark.parametrize(
    ("more", "computes"),
    [
        ((), ("fp32",)),
        (("avx512f", "avx512_vnni"), ("fp32",)),
        (("avx512f", "avx512_bf16"), ("fp32", "bf16")),
        (("avx512f", "amx_int8", "amx_bf16"), ("fp32", "bf16")),
        (("avx512f", "avx512_bf16", "avx512_fp16"), ("fp32", "bf16", "fp16")),
    ],
)
def test_openvino_computes_in_what_the_processor_multiplies(
    more: tuple[str, ...], computes: tuple[str, ...], packages: Callable[..., Find], tmp_path: Path
) -> None:
    capabilities = probe(machine(*more), packages("openvino"), tmp_path / "no driver")
    one = found(capabilities, "openvino", "cpu")
    assert one.computes == computes
    assert one.precisions == (*computes, "int8")
    assert set(one.instruction_sets) == {"avx2", *more}


def test_probing_imports_no_runtime() -> None:
    code = (
        "import sys; from models.runtimes.capabilities import probe; assert probe(); "
        "sys.exit(', '.join({'onnxruntime', 'openvino'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
