"""The CPU image, built and run: what is in it and what is not; it serves where it may do next to nothing."""

import importlib.metadata
import json
import os
import stat
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.manifest import Batching
from tests.docker.buildah import BASE, FOLDER, Buildah
from tests.docker.files import ROOT, canonical, pins
from tests.docker.image import Image, Served
from tests.flow.conftest import train_tiny
from tests.service import graphs
from tests.service.conftest import infer_body
from tests.tools import tool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first test builds the image

_MAX_BYTES = 450_000_000  # unpacked, without the base
_MAX_APPLICATION_BYTES = 10_000_000  # what a release of Slipway alone sends over the network
_IN_FLIGHT = 'slipway_in_flight_requests{model="slow",version="1"}'


@pytest.fixture(scope="module")
def repository(cpu_name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """digits as `slipway train` publishes it, and slow, whose runs take a quarter of a second."""
    root = tmp_path_factory.mktemp("image")
    train_tiny("digits", root / "repository")
    alone = Batching(max_batch_size=1)
    graphs.slow(300_000).publish(root / "repository", "slow", root, batching=alone)
    return root / "repository"


@pytest.fixture(scope="module")
def served(cpu_image: Image, repository: Path) -> Iterator[Served]:
    with cpu_image.serving(repository) as running:
        yield running


def test_its_settings_are_the_promised_ones(cpu_image: Image) -> None:
    config, project = cpu_image.config, tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["slipway"], ["serve"])
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    assert "Healthcheck" not in config
    labels = {
        key.removeprefix("org.opencontainers.image."): v for key, v in config["Labels"].items()
    }
    assert labels["version"] == project["project"]["version"]
    assert labels["licenses"] == project["project"]["license"]
    assert labels["base.name"] == BASE
    assert labels["created"].startswith("20")
    assert labels["revision"] != ""


def test_it_is_small_and_a_release_sends_little(buildah: Buildah, cpu_name: str) -> None:
    base = len(buildah.settings(BASE)["rootfs"]["diff_ids"])
    own = buildah.layer_bytes(cpu_name)[base:]
    print(f"layers without the base, MB unpacked: {[round(size / 1e6, 1) for size in own]}")
    assert len(own) == 4, "user, libraries, packages, application"
    assert sum(own) <= _MAX_BYTES
    assert own[-1] <= _MAX_APPLICATION_BYTES
    assert own[1] < 1_000_000, "NVIDIA's libraries are for the other image"


def test_nothing_in_it_gives_privileges(cpu_image: Image) -> None:
    seen = 0
    for path in _entries(cpu_image.root):
        status, name = path.lstat(), path.relative_to(cpu_image.root)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            continue
        seen += 1
        assert status.st_uid != 10001, f"the server could change {name}"
        is_shared = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX  # as /tmp is
        assert is_shared or not status.st_mode & stat.S_IWOTH, f"everybody may write {name}"
        if stat.S_ISREG(status.st_mode):
            assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), f"{name} is set-uid"
            assert "security.capability" not in os.listxattr(path), f"{name} has capabilities"
    assert seen > 5_000


def test_it_holds_what_is_locked_and_nothing_else(cpu_image: Image) -> None:
    installed = {
        canonical(found.name): found.version
        for found in importlib.metadata.distributions(path=[str(cpu_image.site_packages)])
    }
    assert installed == pins("cpu.txt")
    own = importlib.metadata.distributions(path=[str(cpu_image.root / "opt" / "slipway")])
    assert [found.name for found in own] == ["slipway"]


def test_no_compiler_no_torch_no_training_and_no_model_are_in_it(cpu_image: Image) -> None:
    for folder in ("bin", "usr/bin", "usr/local/bin", "opt/venv/bin", "opt/slipway/bin"):
        programs = {path.name for path in (cpu_image.root / folder).glob("*")}
        assert not programs & {"gcc", "cc", "g++", "c++", "clang", "ld", "make", "curl", "wget"}
    assert not (cpu_image.site_packages / "torch").exists()
    assert not (cpu_image.site_packages / "pip").exists()
    assert {p.name for p in (cpu_image.root / "opt" / "slipway").iterdir() if p.is_dir()} >= {
        "models",
        "service",
    }
    assert not (cpu_image.root / "opt" / "slipway" / "training").exists()
    assert list((cpu_image.root / "models").iterdir()) == []
    assert not list((cpu_image.root / "opt").rglob("manifest.json"))


def test_every_module_is_compiled(cpu_image: Image) -> None:
    """A read-only root could not keep what is compiled at start, so each start would compile anew."""
    sources = list((cpu_image.root / "opt").rglob("*.py"))
    assert len(sources) > 1_000
    for source in sources:
        [compiled] = (source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc")
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, f"{compiled} would be compared with its source"  # PEP 552


def test_the_server_may_do_next_to_nothing(cpu_image: Image, served: Served) -> None:
    process = Path("/proc") / str(served.server_pid)
    status = dict(line.split(":\t") for line in (process / "status").read_text().splitlines())
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert status["Groups"].strip() == ""
    assert {int(status[kind], 16) for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["NSpid"].split()[-1] == "1", "it is process 1 and has to handle signals itself"
    assert b"opt/venv/bin/python" in (process / "cmdline").read_bytes().split(b"\0")[0]


def test_its_root_cannot_be_written(cpu_image: Image) -> None:
    attempt = "import sys; open(sys.argv[1], 'w')"
    for place in ("/opt/slipway/x", "/models/x", "/x", "/etc/passwd"):
        done = cpu_image.run("python", "-c", attempt, place)
        assert "Read-only file system" in done.stderr, place
    assert cpu_image.run("python", "-c", attempt, "/tmp/x").returncode == 0


def test_it_answers_with_a_model_that_was_trained_and_published(served: Served) -> None:
    with served.client() as client:
        assert client.get("/v2/health/ready").status_code == 200
        answer = client.post(
            "/v1/models/digits/predict",
            content=(ROOT / "docs" / "examples" / "seven.png").read_bytes(),
            headers={"content-type": "image/png"},
        )
        assert answer.status_code == 200
        [prediction] = answer.json()["predictions"]
        assert prediction["label"] in "0123456789"
        assert prediction["labels"][0]["label"] == prediction["label"]
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        assert f'slipway_build_info{{version="{version}"' in client.get("/metrics").text
    assert "Traceback" not in served.errors


def test_sigterm_lets_it_finish_what_it_has_accepted(cpu_image: Image, repository: Path) -> None:
    callers = 8
    body = infer_body("x", np.ones((1, 2), np.float32))
    statuses: list[int] = []
    with cpu_image.serving(repository) as running, running.client() as client:

        def call() -> None:
            statuses.append(
                httpx.post(f"{running.url}/v2/models/slow/infer", json=body, timeout=30).status_code
            )

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        limit = time.monotonic() + 20
        while f"{_IN_FLIGHT} {callers}" not in client.get("/metrics").text:
            assert time.monotonic() < limit, "the requests did not arrive"
            assert len(statuses) == 0, "the model is too quick for this test"
        running.terminate()
        assert running.wait() == 0
        for thread in threads:
            thread.join()
    assert statuses == [200] * callers


def test_both_runtimes_can_be_used(cpu_image: Image) -> None:
    """OpenVINO without what is left out of its wheel; on a processor that it knows."""
    done = cpu_image.run("slipway", "doctor")
    assert done.returncode == 0, done.stderr
    for runtime in ("onnxruntime", "openvino"):
        line = next(line for line in done.stdout.splitlines() if line.startswith(runtime))
        assert " yes" in line, done.stdout


def test_a_version_is_served_with_openvino_where_that_is_asked_for(
    cpu_image: Image, repository: Path
) -> None:
    asked = {"SLIPWAY_RUNTIME": "openvino"}
    with cpu_image.serving(repository, asked) as running, running.client() as client:
        told = client.get("/v2/models/digits/config").json()["parameters"]
        assert told["runtime"]["string_value"] == "openvino"
        seven = (ROOT / "docs" / "examples" / "seven.png").read_bytes()
        headers = {"content-type": "image/png"}
        answer = client.post("/v1/models/digits/predict", content=seven, headers=headers)
        assert answer.status_code == 200


def test_without_models_it_says_what_to_mount(cpu_image: Image) -> None:
    done = cpu_image.run("slipway", "serve", environment={"SLIPWAY_REPOSITORY": "/nowhere"})
    assert done.returncode == 1
    assert "there is no model repository at /nowhere" in done.stderr


def test_commands_of_training_are_not_there(cpu_image: Image) -> None:
    done = cpu_image.run("slipway", "--help")
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout
    assert "fetch" in done.stdout
    assert " train " not in done.stdout.partition("from nothing")[0]


def test_its_bill_of_materials_names_every_package_with_its_licence(cpu_image: Image) -> None:
    """Written to build/images, to be published beside the image."""
    answer = (
        cpu_image.scratch / "python"
    )  # the tool asks an interpreter for its path and nothing else
    places = [str(cpu_image.site_packages), str(cpu_image.root / "opt" / "slipway")]
    answer.write_text(f"#!/bin/sh\necho '{json.dumps(places)}'\n")
    answer.chmod(0o755)
    target = FOLDER / "slipway-cpu.cdx.json"
    command = [tool("cyclonedx-py"), "environment", "--of", "JSON", "-o", target, answer]
    subprocess.run(command, check=True, capture_output=True)
    components = json.loads(target.read_text())["components"]
    found = {canonical(entry["name"]): entry["version"] for entry in components}
    assert found.pop("slipway")
    assert found == pins("cpu.txt")
    unlicensed = {entry["name"] for entry in components if not entry.get("licenses")}
    assert len(unlicensed) <= len(components) // 10, unlicensed


def _entries(root: Path) -> Iterator[Path]:
    """Files and folders of the image, links not followed."""
    for folder, folders, files in os.walk(root):
        yield from (Path(folder) / name for name in (*folders, *files))
