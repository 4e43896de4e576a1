"""The GPU image, built where there may be no GPU: everything up to the driver is there, and once."""

import json
import re

import pytest

from tests.docker.buildah import BASE, Buildah
from tests.docker.files import pins
from tests.docker.image import Image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first test builds the image

_PROVIDER = (
    "opt/venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so"
)


def test_it_computes_on_cuda_unless_told_otherwise(cuda_image: Image) -> None:
    assert cuda_image.environment["SLIPWAY_PROVIDER"] == "cuda"
    assert cuda_image.config["User"] == "10001:10001"


def test_a_release_does_not_send_nvidias_libraries_again(buildah: Buildah, cuda_name: str) -> None:
    base = len(buildah.settings(BASE)["rootfs"]["diff_ids"])
    own = buildah.layer_bytes(cuda_name)[base:]
    print(f"layers without the base, MB unpacked: {[round(size / 1e6, 1) for size in own]}")
    user, libraries, packages, application = own
    assert libraries > 1_000_000_000
    assert packages < 800_000_000
    assert user + application < 10_000_000


def test_each_of_nvidias_libraries_is_there_once(cuda_image: Image) -> None:
    found: dict[str, list[str]] = {}
    for path in cuda_image.root.rglob("lib*.so*"):
        if re.match(r"lib(cu|nv)", path.name) and not path.is_symlink():
            found.setdefault(path.name, []).append(str(path))
    assert any(name.startswith("libcudnn") for name in found)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
    assert (
        cuda_image.site_packages
        / "onnxruntime_gpu-{onnxruntime-gpu}.dist-info".format(**pins("cuda.txt"))
    ).is_dir()


def test_the_provider_misses_nothing_but_the_driver(cuda_image: Image) -> None:
    check = (
        "import ctypes, json, onnxruntime as ort\n"
        "ort.preload_dlls()\n"
        "print(json.dumps(ort.get_available_providers()))\n"
        "try:\n"
        "    ctypes.CDLL('/" + _PROVIDER + "')\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    done = cuda_image.run("python", "-c", check)
    assert done.returncode == 0, done.stderr
    providers, *said = done.stdout.splitlines()
    assert "CUDAExecutionProvider" in json.loads(providers)
    assert said == ["libcuda.so.1: cannot open shared object file: No such file or directory"]
