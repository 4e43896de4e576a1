"""Builds images with buildah, from a base made of Debian's own packages: no registry is needed.

The base stands in for the pinned python-slim one: the same Debian, the same minor version of Python.
Everything lies in build/images: layers are built once for the same files; `make clean` removes all.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.docker.files import ROOT
from tests.tools import tool

FOLDER = ROOT / "build" / "images"
BASE = "localhost/slipway-base:bookworm"
_SUITE, _PACKAGES = "bookworm", "ca-certificates,python3,python3-venv"


class Buildah:
    def __init__(self) -> None:
        self._program = tool("buildah")
        FOLDER.mkdir(parents=True, exist_ok=True)

    def base(self) -> str:
        """The base's name; made of packages when it is not there yet."""
        self._call("rm", "--all")  # what a run left that was broken off
        if self._succeeds("inspect", "--type", "image", BASE):
            return BASE
        context = FOLDER / "base"
        context.mkdir(exist_ok=True)
        archive = context / "rootfs.tar"
        archive.unlink(missing_ok=True)
        variant = ["--quiet", "--variant=minbase", f"--include={_PACKAGES}"]
        _run([str(tool("mmdebstrap")), *variant, _SUITE, str(archive)])
        (context / "Dockerfile").write_text('FROM scratch\nADD rootfs.tar /\nCMD ["python3"]\n')
        self._call("bud", "--quiet", "--isolation", "chroot", "--tag", BASE, str(context))
        archive.unlink()
        return BASE

    def build(self, dockerfile: Path, name: str, arguments: Mapping[str, str]) -> None:
        """Layer by layer, as Docker does; `arguments` are those of the Dockerfile."""
        options = ["--layers", "--quiet", "--isolation", "chroot", "--network", "host"]
        for key, value in arguments.items():
            options += ["--build-arg", f"{key}={value}"]
        for inside, file in self._certificates().items():
            options += ["--volume", f"{file}:{inside}:ro"]
        self._call("bud", *options, "--file", str(dockerfile), "--tag", name, str(ROOT))

    def settings(self, name: str) -> dict[str, Any]:
        """The image's configuration, as the OCI image specification has it."""
        inspected = json.loads(self._call("inspect", "--type", "image", name))
        found: dict[str, Any] = inspected["OCIv1"]
        return found

    def layer_bytes(self, name: str) -> list[int]:
        """Unpacked size of each layer, the base's first."""
        target = FOLDER / "unpacked"
        _run(["rm", "-rf", str(target)])
        push = ["push", "--quiet", "--disable-compression"]
        self._call(*push, name, f"dir:{target}")
        manifest = json.loads((target / "manifest.json").read_text())
        sizes = [layer["size"] for layer in manifest["layers"]]
        assert not any(layer["mediaType"].endswith("gzip") for layer in manifest["layers"])
        _run(["rm", "-rf", str(target)])
        return sizes

    @contextmanager
    def mounted(self, name: str) -> Iterator[Path]:
        """The root of a fresh container of the image."""
        container = self._call("from", "--pull-never", name).strip()
        try:
            yield Path(self._call("mount", container).strip())
        finally:
            self._call("umount", container)
            self._call("rm", container)

    def _certificates(self) -> dict[str, Path]:
        """Where packages come through a proxy with an authority of its own, pip has to know that one."""
        given = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
        if not given:
            return {}
        configuration = FOLDER / "pip.conf"
        configuration.write_text("[global]\ncert = /run/host-ca.crt\n")
        return {"/run/host-ca.crt": Path(given), "/etc/pip.conf": configuration}

    @cached_property
    def _storage(self) -> list[str]:
        """overlay, where the kernel allows it, is several times quicker than copies of whole roots."""
        for driver in ("overlay", "vfs"):
            storage = FOLDER / driver
            places = ["--root", str(storage / "root"), "--runroot", str(storage / "run")]
            options = ["--storage-driver", driver, *places]
            done = subprocess.run([self._program, *options, "info"], capture_output=True)
            if done.returncode == 0:
                return options
        raise AssertionError(done.stderr.decode())

    def _call(self, *arguments: str) -> str:
        return _run([str(self._program), *self._storage, *arguments])

    def _succeeds(self, *arguments: str) -> bool:
        command = [self._program, *self._storage, *arguments]
        return subprocess.run(command, capture_output=True).returncode == 0


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout
