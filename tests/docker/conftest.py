"""The images that `make test-image` builds and tests; elsewhere their tests are skipped: it takes minutes."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.docker.buildah import Buildah
from tests.docker.files import DOCKER, ROOT
from tests.docker.image import Image

CHOICE = "SLIPWAY_TEST_IMAGE"
"""Environment variable: the providers whose images are built, such as `cpu` or `cpu,cuda`."""


def require(provider: str) -> None:
    if provider not in os.environ.get(CHOICE, "").split(","):
        pytest.skip(f"the image is not built here: make test-image PROVIDERS={provider}")
    if os.geteuid() != 0:
        pytest.skip("building and running images here needs root: sudo make test-image")


@pytest.fixture(scope="session")
def buildah() -> Buildah:
    return Buildah()


@pytest.fixture(scope="session")
def cpu_name(buildah: Buildah) -> str:
    require("cpu")
    return _build(buildah, "Dockerfile", "cpu")


@pytest.fixture(scope="session")
def cpu_image(
    buildah: Buildah, cpu_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Image]:
    with buildah.mounted(cpu_name) as root:
        yield Image(root, buildah.settings(cpu_name), tmp_path_factory.mktemp("cpu"))


@pytest.fixture(scope="session")
def cuda_name(buildah: Buildah) -> str:
    require("cuda")
    return _build(buildah, "Dockerfile", "cuda")


@pytest.fixture(scope="session")
def cuda_image(
    buildah: Buildah, cuda_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Image]:
    with buildah.mounted(cuda_name) as root:
        yield Image(root, buildah.settings(cuda_name), tmp_path_factory.mktemp("cuda"))


def _build(buildah: Buildah, dockerfile: str, provider: str) -> str:
    name = f"localhost/slipway:{provider}"
    arguments = {
        "BASE": buildah.base(),
        "PROVIDER": provider,
        "REVISION": _revision(),
        "CREATED": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    buildah.build(DOCKER / Path(dockerfile), name, arguments)
    return name


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
